/** Bun for Windows under wine, with the one library that wine lacks beside it. */

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { bunOfPackage } from "./bun-package.ts";
import type { Emulated } from "./emulated.ts";
import { step } from "./fetching.ts";
import { MissingError } from "./missing.ts";
import { firstLineOf } from "./run.ts";

/**
 * Makes a Windows of its own in a folder: a prefix of wine's, and a Bun with the library beside it.
 *
 * @throws MissingError if there is no wine, or if it does not start
 */
export async function wineBun(root: string, folder: string, zig: string): Promise<Emulated> {
  if (Bun.which("wine") === null) throw new MissingError("there is no wine (Debian's packages wine and wine64)");
  const programs = join(folder, "programs");
  mkdirSync(programs, { recursive: true });
  copyFileSync(await bunOfPackage(root, "@oven/bun-windows-x64"), join(programs, "bun.exe"));
  const library = join(programs, "bcryptprimitives.dll");
  const source = join(root, "scripts", "platforms", "bcryptprimitives.c");
  const compile = [zig, "cc", "-target", "x86_64-windows-gnu", "-O2", "-shared", "-o", library, source, "-ladvapi32"];
  await step(compile, folder, "zig cc cannot build bcryptprimitives.dll");
  const prefix = { WINEPREFIX: join(folder, "prefix"), WINEDEBUG: "-all" };
  const variables = Object.entries(prefix).map(([name, value]) => `${name}=${value}`);
  await step(["env", ...variables, "wineboot", "--init"], folder, "wine cannot make a Windows");
  const version = firstLineOf(["env", ...variables, "wine", "--version"]) ?? "wine";
  return {
    bun: ["wine", join(programs, "bun.exe")],
    environment: {
      ...prefix,
      // What Windows finds programs by, besides its own.
      WINEPATH: windowsPath(programs),
      BUN_OPTIONS: `--preload=${windowsPath(join(root, "scripts", "platforms", "emulation-preload.ts"))}`,
    },
    emulator: version.replace(/ .*/, "").replace("-", " "),
  };
}

/** As programs under wine see a path of the host. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll("/", "\\")}`;
}

/** Ends what wine keeps running behind the programs that were started. */
export async function endWine({ environment }: Emulated): Promise<void> {
  const env = { ...process.env, ...environment };
  await Bun.spawn(["wineserver", "--kill"], { env, stdio: ["ignore", "ignore", "ignore"] }).exited;
}
