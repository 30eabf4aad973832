/** Pairs of connected sockets by the package's own calls: for platforms on which only sockets can be waited for. */

import { Half } from "../../src/core/system.ts";
import { nativeSystem } from "../../src/native/system.ts";

/** Two TCP sockets of this machine that are connected to each other, and send at once. */
export function loopbackPair(): [left: number, right: number] {
  const system = nativeSystem();
  const listener = checked("socket", system.createSocket("IPv4"));
  checked("bind", system.bind(listener, { host: "127.0.0.1", port: 0, family: "IPv4" }));
  checked("listen", system.listen(listener, 1));
  const left = checked("socket", system.createSocket("IPv4"));
  const result = system.connect(left, system.localAddress(listener));
  if (result < 0 && system.meaningOf(result) !== "inProgress") checked("connect", result);
  const right = acceptSoon(listener);
  system.close(listener);
  for (const descriptor of [left, right]) checked("setsockopt", system.setOption(descriptor, 0, 1));
  return [left, right];
}

/** As those of `node:fs`. */
export const socketCalls = {
  close: (descriptor: number): void => void nativeSystem().close(descriptor),
  read: (descriptor: number, buffer: NodeJS.ArrayBufferView): number =>
    checked("recv", nativeSystem().receive(descriptor, buffer as Uint8Array, 0, buffer.byteLength)),
  write: (descriptor: number, data: NodeJS.ArrayBufferView | string): number => {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : (data as Uint8Array);
    return checked("send", nativeSystem().send(descriptor, bytes, 0, bytes.byteLength));
  },
};

/** Says that no more will be sent. */
export function endWriting(descriptor: number): void {
  checked("shutdown", nativeSystem().shutdown(descriptor, Half.WRITE));
}

/** The connection is on its way within the kernel of this machine. */
function acceptSoon(listener: number): number {
  const system = nativeSystem();
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const result = system.accept(listener);
    if (result >= 0 || system.meaningOf(result) !== "wouldBlock") return checked("accept", result);
  }
  throw new Error("a connection to this machine did not come");
}

function checked(call: string, result: number): number {
  if (result < 0) throw nativeSystem().errorOf(result, call);
  return result;
}

const MOST_TRIES = 1_000_000;
