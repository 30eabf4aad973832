/** Tests that need something of the system's: a program, a C library. Where it is missing they skip, and say why. */

import { existsSync } from "node:fs";
import { describeUnless } from "../../support/platform.ts";

export interface Needs {
  /** Programs, by name or path. */
  readonly programs?: readonly string[];
  /** C libraries, by the name that the loader knows. */
  readonly libraries?: readonly string[];
}

/** `describe`, with the component's name; skipped, with the reason, if something that it needs is not there. */
export function describeReal(component: string, needs: Needs, body: () => void): void {
  const missing = [
    ...(needs.programs ?? []).filter((program) => pathOf(program) === null),
    ...(needs.libraries ?? []).filter((library) => !canLoad(library)),
  ];
  const lacks = `this machine has no ${missing.join(", ")} (see test/real/packages.txt)`;
  describeUnless(missing.length > 0 ? lacks : null)(component, body);
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
