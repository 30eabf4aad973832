/** Unix sockets for tests. */

import { closeSync, readFileSync } from "node:fs";
import type { UnixName } from "../../src/index.ts";
import { UnixKind } from "../../src/core/unix-system.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { temporaryPath } from "./temporary.ts";

let names = 0;

/** A name for one test: the disposable one of a path is removed at the end, whatever is there then. */
export type TemporaryName = UnixName & Disposable;

/** Both kinds of names, for `describe.each`. */
export const NAMES: readonly (readonly [string, () => TemporaryName])[] = [
  ["a path", pathName],
  ["an abstract name", abstractName],
];

/** An abstract name that no other process has. */
export function abstractName(): TemporaryName {
  return { abstract: `bun-reactor test ${process.pid} ${names++}`, [Symbol.dispose]: () => {} };
}

export function pathName(): TemporaryName {
  const path = temporaryPath("socket");
  return { path: path.name, [Symbol.dispose]: () => path[Symbol.dispose]() };
}

/** Leaves a socket's file behind, as a process does that crashes. */
export function leaveSocketFile(path: string, kind: UnixKind = UnixKind.STREAM): void {
  const { unix } = nativeSystem();
  const descriptor = unix.create(kind);
  const result = unix.bind(descriptor, new TextEncoder().encode(path));
  closeSync(descriptor);
  if (result < 0) throw new Error(`bind ${path} failed with ${result}`);
}

/** Whether a descriptor is closed in a program that this process starts (O_CLOEXEC, as /proc shows it). */
export function isCloseOnExec(descriptor: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))![1]!;
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
}
