/** The messages of SOCKS5 (RFC 1928), and of logging in with a password (RFC 1929), from the proxy's side. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { ByteStream, ConnectOptions, Operation, SocketAddress } from "../../src/index.ts";

/** What a client is told (RFC 1928, section 6). */
export const REPLY = {
  SUCCEEDED: 0,
  FAILED: 1,
  NETWORK_UNREACHABLE: 3,
  HOST_UNREACHABLE: 4,
  REFUSED: 5,
  TOO_LATE: 6,
  COMMAND_UNKNOWN: 7,
  ADDRESS_UNKNOWN: 8,
} as const;

/** The client does not get what it wants. */
export class Refusal extends Error {
  constructor(
    /** What to reply; null if the client was told, or speaks another protocol. */
    readonly reply: number | null,
    message: string,
  ) {
    super(message);
  }
}

export interface User {
  readonly name: string;
  readonly password: string;
}

/** `NAME:PASSWORD`; the name has no colon. */
export function toUser(text: string): User {
  const end = text.indexOf(":");
  if (end < 1) throw new Error("--user must be NAME:PASSWORD");
  return { name: text.slice(0, end), password: text.slice(end + 1) };
}

/**
 * Agrees with the client on how it logs in.
 * @throws Refusal if it does not know the only way that will do
 */
export function* greet(client: ByteStream, way: "open" | "password"): Operation<void> {
  const version = yield* readByte(client);
  if (version !== SOCKS5) throw new Refusal(null, `a client does not speak SOCKS5: its first byte is ${version}`);
  const offered = yield* readBytes(client, yield* readByte(client));
  const wanted = way === "open" ? OPEN : PASSWORD;
  if (offered.includes(wanted)) return yield* client.write(Uint8Array.of(SOCKS5, wanted));
  yield* client.write(Uint8Array.of(SOCKS5, NO_WAY));
  throw new Refusal(null, `a client does not offer to log in ${way === "open" ? "without" : "with"} a password`);
}

/**
 * Reads a name and a password, and says whether they are right.
 * @throws Refusal if they are not
 */
export function* acceptLogin(client: ByteStream, user: User): Operation<void> {
  const version = yield* readByte(client);
  if (version !== LOGIN) throw new Refusal(null, `a client does not log in as RFC 1929 has it: version ${version}`);
  const name = yield* readBytes(client, yield* readByte(client));
  const password = yield* readBytes(client, yield* readByte(client));
  // Both are looked at, and all of both, so that the time tells nothing.
  const isRight = Number(isSame(name, user.name)) & Number(isSame(password, user.password));
  yield* client.write(Uint8Array.of(LOGIN, isRight === 1 ? 0 : 1));
  if (isRight !== 1) throw new Refusal(null, "a client has a wrong name or password");
}

/**
 * Reads where the client wants to be connected to.
 * @throws Refusal for what is not there
 */
export function* readRequest(client: ByteStream): Operation<ConnectOptions> {
  const [version, command, , kind] = yield* readBytes(client, 4);
  if (version !== SOCKS5) throw new Refusal(null, `a client's request has the version ${version}`);
  const host = yield* readHost(client, kind!);
  const [high, low] = yield* readBytes(client, 2);
  const port = (high! << 8) | low!;
  if (command !== CONNECT) throw new Refusal(REPLY.COMMAND_UNKNOWN, `a client wants the command ${command}`);
  if (port === 0) throw new Refusal(REPLY.FAILED, `a client wants port 0 of ${host}`);
  return { host, port };
}

/** Tells the client how its request ended, and from which address. */
export function* sendReply(client: ByteStream, reply: number, from: SocketAddress = NOWHERE): Operation<void> {
  const address = from.family === "IPv4" ? [IPV4, ...bytesOfIpv4(from.host)] : [IPV6, ...bytesOfIpv6(from.host)];
  yield* client.write(Uint8Array.of(SOCKS5, reply, 0, ...address, from.port >> 8, from.port & 0xff));
}

function* readHost(client: ByteStream, kind: number): Operation<string> {
  if (kind === IPV4) return [...(yield* readBytes(client, 4))].join(".");
  if (kind === IPV6) {
    const bytes = Buffer.from(yield* readBytes(client, 16));
    return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(":");
  }
  if (kind !== NAME) throw new Refusal(REPLY.ADDRESS_UNKNOWN, `a client's address is of the kind ${kind}`);
  const name = Buffer.from(yield* readBytes(client, yield* readByte(client))).toString("latin1");
  if (!/^[\x21-\x7e]+$/.test(name))
    throw new Refusal(REPLY.FAILED, `a client wants ${JSON.stringify(name)}, which is no name`);
  return name;
}

function* readByte(client: ByteStream): Operation<number> {
  return (yield* readBytes(client, 1))[0]!;
}

function* readBytes(client: ByteStream, count: number): Operation<Uint8Array> {
  const bytes = new Uint8Array(count);
  yield* client.readExactly(bytes);
  return bytes;
}

function isSame(given: Uint8Array, wanted: string): boolean {
  const digest = (data: Uint8Array | string): Buffer => createHash("sha256").update(data).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

function bytesOfIpv4(host: string): number[] {
  return host.split(".").map(Number);
}

/** The system writes addresses as RFC 5952 has it: `::` at most once, and a zone behind a `%`. */
function bytesOfIpv6(host: string): number[] {
  const [before = "", after] = host.split("%")[0]!.split("::");
  const groups = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const head = groups(before);
  const tail = groups(after ?? "");
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}

const NOWHERE: SocketAddress = { host: "0.0.0.0", port: 0, family: "IPv4" };

const SOCKS5 = 5;
const LOGIN = 1;
const CONNECT = 1;

const OPEN = 0;
const PASSWORD = 2;
const NO_WAY = 0xff;

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;
