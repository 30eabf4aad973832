// The native libraries of the package: one for each target, all of them built on this machine.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findZig, ZIG_VERSION } from "../build-native.ts";
import { hashOfNativeSources } from "../native-sources.ts";
import type { Target } from "../targets.ts";
import { importsOf } from "./imports.ts";

/** There are eight of them in each installation. What makes one larger is Zig's own start-up code and panic messages. */
export const LIBRARY_LIMIT_BYTES = 64 * 1024;

/**
 * The libraries that a library may want of its system. On Linux it speaks to the kernel itself, so that one file serves
 * every C library; elsewhere the C library is the system's interface (FreeBSD has that of threads beside it).
 */
export const SYSTEM_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: [],
  darwin: ["/usr/lib/libSystem.B.dylib"],
  freebsd: ["libc.so.7", "libthr.so.3"],
  win32: ["ntdll.dll", "kernel32.dll", "ws2_32.dll"],
};

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
 * @throws Error if it does not compile, is larger than `LIBRARY_LIMIT_BYTES`, or wants more of its system than
 *   `SYSTEM_LIBRARIES`
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
  checkImports(target, content);
  return { target, path, content };
}

function checkImports({ name, os }: Target, content: Uint8Array): void {
  const allowed = SYSTEM_LIBRARIES[os] ?? [];
  const { libraries, symbols } = importsOf(content);
  // Windows does not tell capital letters in the names of files.
  const others = libraries.filter((library) => !allowed.includes(os === "win32" ? library.toLowerCase() : library));
  if (others.length > 0)
    throw new Error(`the library for ${name} wants ${others.join(", ")}, which is no part of its system`);
  if (libraries.length > 0 || symbols.length === 0) return;
  throw new Error(`the library for ${name} wants ${symbols.join(", ")}, and no library that would have it`);
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
