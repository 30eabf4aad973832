/** What an emulator makes Bun say, and nobody asked for. */

import { IS_EMULATED } from "./platform.ts";

/** What a program wrote to its standard error, without what it says only because an emulator runs it. */
export function withoutNoise(stderr: string): string {
  return IS_EMULATED ? stderr.replaceAll(OF_FOLDERS, "").replaceAll(OF_SLOWNESS, "") : stderr;
}

/** Bun says it under wine of each folder that it looks into. */
const OF_FOLDERS = /^Internal error: directory mismatch .*\r?\n/gm;

/** To translate code for the first time takes longer than a task should keep the thread. Workers tell it as well. */
const OF_SLOWNESS =
  /^\(node:\d+\) BunReactorWarning: .* kept the thread for \d+ ms .*\r?\n(?:\(Use `bun --trace-warnings .*\r?\n)?/gm;
