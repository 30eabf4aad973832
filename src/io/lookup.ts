/** The addresses of a name, for those who connect in a way of their own. `connect` looks names up by itself. */

import { currentSystem } from "../core/current-system.ts";
import { describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { assertHost, notFound, type Place, resolveHost } from "./resolve.ts";

/** An address without a port. */
export type ResolvedAddress = Place;

export interface LookupOptions {
  /** The only family that is wanted; by default both are. */
  readonly family?: "IPv4" | "IPv6" | undefined;
}

/**
 * Looks the addresses of a name up, as getaddrinfo(3) does: in the hosts file, and in the domain name system. An address is
 * its own answer. The system's look-up cannot be stopped: if the task is cancelled, or its `timeout` is over, it goes on at
 * once, and what the look-up comes to is ignored.
 * @returns at least one address, in the order to try them: the families take turns (RFC 8305, section 4)
 * @throws an Error like Node.js's, with the `hostname`, if the name has no address, or none of the family (`ENOTFOUND`), or
 *   if no server of names answers (`EAI_AGAIN`); TypeError for a name or a family that is none; `UnsupportedError` in
 *   `blockOn` for names other than `localhost`
 */
export function* lookup(name: string, { family }: LookupOptions = {}): Operation<readonly ResolvedAddress[]> {
  assertHost("lookup: name", name);
  if (family !== undefined && family !== "IPv4" && family !== "IPv6")
    throw new TypeError(`lookup: family must be "IPv4" or "IPv6", but is ${describeValue(family)}`);
  const system = yield* currentSystem();
  const places = yield* resolveHost(system, name);
  const wanted = family === undefined ? places : places.filter((place) => place.family === family);
  if (wanted.length === 0) throw notFound(name, family);
  return wanted;
}
