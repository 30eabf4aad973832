/** What terminals are set to, told by programs that know nothing of this package. */

import { runCommand } from "../real/support/server.ts";

/** Everything that is set of a terminal, in the form of `stty -g`. */
export async function settingsOf(path: string): Promise<string> {
  return (await runCommand(["stty", "-F", path, "-g"])).trim();
}

/** The speed that programs with termios(3) see. */
export async function speedOf(path: string): Promise<number> {
  return Number(await runCommand(["stty", "-F", path, "speed"]));
}
