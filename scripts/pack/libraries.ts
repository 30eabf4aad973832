// The native libraries of the package: one for each target, all of them built on this machine.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findZig, ZIG_VERSION } from "../build-native.ts";
import { hashOfNativeSources } from "../native-sources.ts";
import type { Target } from "../targets.ts";

/** What the issue of a small package allows: Zig's own start-up code and panic messages must not creep in. */
export const LIBRARY_LIMIT_BYTES = 64 * 1024;

export interface BuiltLibrary {
  readonly target: Target;
  readonly path: string;
  readonly content: Uint8Array;
}

export interface LibraryOptions {
  /** The folder of `build.zig`. */
  readonly zigFolder: string;
  /** Where the results are put, in a folder for each target; what is up to date there is not built again. */
  readonly outputFolder: string;
}

/**
 * The library for a target.
 * @throws Error if it does not compile, or is larger than `LIBRARY_LIMIT_BYTES`
 */
export function buildLibrary(target: Target, { zigFolder, outputFolder }: LibraryOptions): BuiltLibrary {
  const prefix = join(outputFolder, target.name);
  const path = join(prefix, "lib", target.libraryFile);
  const buildArguments = argumentsFor(target, hashOfNativeSources(zigFolder));
  const stamp = join(prefix, "built-from");
  const wanted = [ZIG_VERSION, ...buildArguments].join(" ");
  if (!existsSync(path) || !existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    rmSync(prefix, { recursive: true, force: true });
    runZig([...buildArguments, "--prefix", prefix], zigFolder);
    mkdirSync(prefix, { recursive: true });
    writeFileSync(stamp, wanted);
  }
  const content = readFileSync(path);
  if (content.length > LIBRARY_LIMIT_BYTES) {
    throw new Error(
      `the library for ${target.name} has ${content.length} bytes, and ${LIBRARY_LIMIT_BYTES} at most will do`,
    );
  }
  return { target, path, content };
}

/** A named target stands for its oldest processors, not for the one of this machine. */
function argumentsFor(target: Target, sourceHash: string): string[] {
  return ["build", `-Dtarget=${target.zig}`, "-Doptimize=ReleaseFast", `-Dsource-hash=${sourceHash}`];
}

function runZig(zigArguments: readonly string[], folder: string): void {
  const { error, status, signal } = spawnSync(findZig(), zigArguments, { cwd: folder, stdio: ["ignore", 2, 2] });
  if (error !== undefined) throw error;
  if (status === 0) return;
  throw new Error(`\`zig ${zigArguments.join(" ")}\` in ${folder} failed (${signal ?? `exit code ${status}`})`);
}
