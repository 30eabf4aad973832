/**
 * The protocol of sd_notify(3), by which a service tells its manager how it is: datagrams of lines `NAME=VALUE`, and
 * descriptors to keep for it. Both sides of it.
 */

import { type Operation, openUnixDatagram, type UnixDatagram, type UnixName } from "../../src/index.ts";

/** One message of a service. Disposing of it closes the descriptors that were not taken. */
export interface Notification extends Disposable {
  /** Such as `READY` to `1`. Of a name that comes twice the last counts. */
  readonly variables: ReadonlyMap<string, string>;
  /** Who has sent it, as the kernel knows. */
  readonly processId: number;
  /** Hands over the descriptors that came along: they are the caller's to close. */
  takeDescriptors(): number[];
}

/** Where the manager listens, as the environment of a service says it; null if nobody wants to know. */
export function notifySocket(environment: NodeJS.ProcessEnv = process.env): UnixName | null {
  const name = environment["NOTIFY_SOCKET"];
  if (name === undefined || name === "") return null;
  return name.startsWith("@") ? { abstract: name.slice(1) } : { path: name };
}

/**
 * For a service: tells its manager something, with descriptors to keep if there are any.
 *
 *     yield* notify({ READY: "1", STATUS: "serving on port 80" });
 *     yield* notify({ FDSTORE: "1", FDNAME: "listener" }, [listener.descriptor]);
 *
 * @returns false if there is no manager that wants to know
 * @throws SystemError such as `ECONNREFUSED`; RangeError for more than 253 descriptors
 */
export function* notify(
  variables: Readonly<Record<string, string>>,
  descriptors: readonly number[] = [],
): Operation<boolean> {
  const name = notifySocket();
  if (name === null) return false;
  using socket = yield* openUnixDatagram();
  const lines = Object.entries(variables).map(([key, value]) => `${key}=${value.replaceAll("\n", " ")}`);
  yield* socket.sendTo(name, lines.join("\n"), { descriptors });
  return true;
}

/** For a manager: the next message. The socket was opened with `passCredentials`. */
export function* receiveNotification(socket: UnixDatagram): Operation<Notification> {
  const buffer = new Uint8Array(LONGEST_MESSAGE_BYTES);
  for (;;) {
    const message = yield* socket.receive(buffer, { mostDescriptors: MOST_DESCRIPTORS });
    // What is too long is no message of this protocol, and half of one would be misread.
    if (message.isTruncated || message.credentials === null) {
      message[Symbol.dispose]();
      continue;
    }
    return {
      variables: variablesIn(DECODER.decode(buffer.subarray(0, message.bytes))),
      processId: message.credentials.processId,
      takeDescriptors: () => message.descriptors.takeAll(),
      [Symbol.dispose]: () => message[Symbol.dispose](),
    };
  }
}

function variablesIn(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n").filter((line) => line.includes("="));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

const DECODER = new TextDecoder();

/** As systemd has them (NOTIFY_BUFFER_MAX, NOTIFY_FD_MAX). */
const LONGEST_MESSAGE_BYTES = 4_096;
const MOST_DESCRIPTORS = 253;
