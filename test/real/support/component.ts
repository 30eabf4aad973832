/** Tests that need something of the system's: a program, a C library. Where it is missing they skip, and say why. */

import { describe } from "bun:test";
import { existsSync } from "node:fs";

export interface Needs {
  /** Programs, by name or path. */
  readonly programs?: readonly string[];
  /** C libraries, by the name that the loader knows. */
  readonly libraries?: readonly string[];
}

/** `describe`, with the component's name; skipped, with a printed reason, if something that it needs is not there. */
export function describeReal(component: string, needs: Needs, body: () => void): void {
  const missing = [
    ...(needs.programs ?? []).filter((program) => pathOf(program) === null),
    ...(needs.libraries ?? []).filter((library) => !canLoad(library)),
  ];
  if (missing.length > 0)
    console.log(
      `skipped: ${component}, because this machine has no ${missing.join(", ")} (see test/real/packages.txt)`,
    );
  describe.skipIf(missing.length > 0)(component, body);
}

/** Where a program is; also one that only administrators have on their path. */
export function pathOf(program: string): string | null {
  if (program.startsWith("/")) return existsSync(program) ? program : null;
  return Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin:/usr/local/sbin` });
}

function canLoad(library: string): boolean {
  return knownLibraries().some((line) => line.trimStart().startsWith(`${library} `));
}

/** What the loader finds by name; ldconfig(8) lists it. */
function knownLibraries(): readonly string[] {
  const ldconfig = pathOf("ldconfig");
  return ldconfig === null ? [] : Bun.spawnSync([ldconfig, "-p"]).stdout.toString().split("\n");
}
