/** What an emulator makes Bun say, and nobody asked for. */

import { PLATFORM } from "./platform.ts";

/** What a program wrote to its standard error, without what Bun says under wine of each folder that it looks into. */
export function withoutNoise(stderr: string): string {
  return PLATFORM === "wine" ? stderr.replaceAll(/^Internal error: directory mismatch .*\r?\n/gm, "") : stderr;
}
