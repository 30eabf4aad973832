/** From a host, a name or an address, to the addresses to try. */

import { spendBudget } from "../core/budget.ts";
import { hostRuns } from "../core/current-system.ts";
import { describeValue, UnsupportedError } from "../core/errors.ts";
import { firstOf } from "../core/first-of.ts";
import type { Operation } from "../core/operation.ts";
import { promiseRequest } from "../core/park.ts";
import type { DeadlineRequest } from "../core/request.ts";
import type { SocketAddress, System } from "../core/system.ts";
import { yieldNow } from "../core/yield-now.ts";

/** An address without a port. */
export type Place = Pick<SocketAddress, "host" | "family">;

/**
 * The addresses that a host stands for, at least one, in the order to try them: the families in turn, as RFC 8305
 * (section 4) has it. The empty list means that the deadline came first.
 * @throws an Error like Node.js's if the host has no address (`ENOTFOUND`); UnsupportedError for a name inside blockOn
 */
export function* resolveHost(system: System, host: string, deadline?: DeadlineRequest): Operation<readonly Place[]> {
  const literal = system.parseAddress(host);
  if (literal !== null) return [literal];
  if (!(yield* hostRuns())) return resolveWithoutHost(host);
  let places: readonly Place[] = [];
  const lookup = system.resolve(host).then((addresses) => {
    places = addresses.map((address) => system.parseAddress(address)).filter((place) => place !== null);
  });
  const requests = [promiseRequest(lookup), ...(deadline === undefined ? [] : [deadline])];
  const answered = yield* firstOf(requests);
  // A task that was cancelled by now ends here, before it opens what nobody would close.
  if (!spendBudget()) yield* yieldNow();
  if (answered !== 0) return [];
  if (places.length === 0) throw notFound(host);
  return alternateFamilies(places);
}

/** The error for what is no host; `argument` names the call and the argument, such as `connect: host`. */
export function assertHost(argument: string, host: unknown): asserts host is string {
  if (typeof host === "string" && host !== "") return;
  throw new TypeError(`${argument} must be a name or an address, but is ${describeValue(host)}`);
}

/** The error for a name that has no address, or none of a family. */
export function notFound(host: string, family?: SocketAddress["family"]): Error {
  const which = family === undefined ? "no address" : `no ${family} address`;
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}: the name has ${which}`), {
    code: "ENOTFOUND",
    syscall: "getaddrinfo",
    hostname: host,
  });
}

/** `localhost` has the same addresses everywhere (RFC 6761, section 6.3). */
function resolveWithoutHost(host: string): readonly Place[] {
  if (host === "localhost") {
    return [
      { host: "127.0.0.1", family: "IPv4" },
      { host: "::1", family: "IPv6" },
    ];
  }
  throw new UnsupportedError(
    `the name ${host} cannot be resolved inside blockOn, which blocks the thread that would resolve it: use run, or an address`,
  );
}

/** The family of the first address begins. */
function alternateFamilies(places: readonly Place[]): readonly Place[] {
  const [first] = places;
  const same = places.filter(({ family }) => family === first?.family);
  const other = places.filter(({ family }) => family !== first?.family);
  const longest = Math.max(same.length, other.length);
  return Array.from({ length: longest }, (_, index) => [same[index], other[index]])
    .flat()
    .filter((place) => place !== undefined);
}
