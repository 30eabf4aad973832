/** Tests that need something of the system's: a program, a C library. Where it is missing they skip, and say why. */

import { existsSync } from "node:fs";
import { describeUnless, IS_EMULATED, PLATFORM } from "../../support/platform.ts";

export interface Needs {
  /** Programs, by name or path. */
  readonly programs?: readonly string[];
  /** C libraries, by the name that the loader knows. */
  readonly libraries?: readonly string[];
}

/** `describe`, with the component's name; skipped, with the reason, if something that it needs is not there. */
export function describeReal(component: string, needs: Needs, body: () => void): void {
  describeUnless(reasonAgainst(needs))(component, body);
}

function reasonAgainst({ programs = [], libraries = [] }: Needs): string | null {
  if (IS_EMULATED)
    return "what other programs make of this package does not depend on the processor: linux-x64 tests it";
  if (PLATFORM !== "native" && libraries.length > 0) return `the C libraries of this machine are not for ${PLATFORM}`;
  const missing = [
    ...programs.filter((program) => pathOf(program) === null),
    ...libraries.filter((library) => !canLoad(library)),
  ];
  return missing.length === 0 ? null : `this machine has no ${missing.join(", ")} (see test/real/packages.txt)`;
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
