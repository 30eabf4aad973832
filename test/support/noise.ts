/** What an emulator makes Bun say, and nobody asked for. */

import { IS_EMULATED } from "./platform.ts";

/** What a program wrote to its standard error, without what it says only because an emulator runs it. */
export function withoutNoise(stderr: string): string {
  if (!IS_EMULATED) return stderr;
  return [OF_FOLDERS, OF_SLOWNESS, OF_TRACES].reduce((text, noise) => text.replaceAll(noise, ""), stderr);
}

/**
 * The environment of a program that looks at what its process has open: a warning of slowness in a Worker has Bun open standard
 * error once more.
 */
export const NO_WARNINGS: Readonly<Record<string, string>> = IS_EMULATED ? { NODE_NO_WARNINGS: "1" } : {};

/** Bun says it under wine of each folder that it looks into. */
const OF_FOLDERS = /^Internal error: directory mismatch .*\r?\n/gm;

/** To translate code for the first time takes longer than a task should keep the thread. Workers tell it as well. */
const OF_SLOWNESS = /^\(node:\d+\) BunReactorWarning: .* kept the thread for \d+ ms .*\r?\n/gm;

/** What Bun adds to a warning: lines of threads that warn at the same time come in any order. */
const OF_TRACES = /^\(Use `bun --trace-warnings .*\r?\n/gm;
