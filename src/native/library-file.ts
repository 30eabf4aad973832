/**
 * Where the native library is looked for: the file that the user names, the one that the package brought, the one that
 * a checkout has built, and, in a program that was bundled, the copy inside it.
 */

import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UnsupportedError } from "../core/errors.ts";
import { embeddedLibrary, type EmbeddedLibrary } from "./embedded-library.ts";
import { extractLibrary } from "./extract-library.ts";

/** The environment variable that names another library file. */
export const LIBRARY_VARIABLE = "BUN_REACTOR_LIBRARY";

/** The platforms that the library is built for, as `process.platform` and `process.arch` name them. */
export const SUPPORTED_PLATFORMS = [
  "linux-x64",
  "linux-arm64",
  "darwin-x64",
  "darwin-arm64",
  "freebsd-x64",
  "freebsd-arm64",
  "win32-x64",
  "win32-arm64",
] as const;

/** What the library file is called on an operating system, as `process.platform` names that. */
export function libraryFileName(os: string): string {
  if (os === "win32") return "bun_reactor.dll";
  return os === "darwin" ? "libbun_reactor.dylib" : "libbun_reactor.so";
}

/** The platform that this process runs on. */
export function currentPlatform(): string {
  return `${process.platform}-${process.arch}`;
}

/** Who the library file is from. */
export type LibraryOrigin = "environment" | "package" | "checkout" | "program";

export interface FoundLibrary {
  readonly path: string;
  readonly origin: LibraryOrigin;
  /** The places before it, each with what was found there. */
  readonly tried: readonly string[];
  /** What to do if it turns out to be of no use. */
  readonly advice: string;
}

/**
 * The library file for this process. One that is named by the environment need not be there; whoever opens it finds out.
 * @throws UnsupportedError if there is none for this platform; an Error that names the places that were tried, or says why
 *   the copy inside this program cannot be written to a file
 */
export function findLibrary(): FoundLibrary {
  refuseUnsupportedPlatform(currentPlatform());
  const chosen = process.env[LIBRARY_VARIABLE];
  if (chosen !== undefined && chosen !== "")
    return { path: resolve(chosen), origin: "environment", tried: [], advice: ADVICE };
  const tried = [`$${LIBRARY_VARIABLE} is not set`];
  return (isBundled() ? findInProgram(tried) : findOnDisk(tried)) ?? refuseMissing(tried);
}

/** @throws UnsupportedError for a platform that the library is not built for */
export function refuseUnsupportedPlatform(platform: string): void {
  if ((SUPPORTED_PLATFORMS as readonly string[]).includes(platform)) return;
  const last = SUPPORTED_PLATFORMS.at(-1);
  const others = SUPPORTED_PLATFORMS.slice(0, -1).join(", ");
  throw new UnsupportedError(`bun-reactor has no native library for ${platform}: it runs on ${others} and ${last}`);
}

/**
 * Whether this module is part of a bundle. There, paths beside it mean nothing, and must not be tried: anything might be at
 * them. A bundler puts it into a file of another name; or, for a CommonJS bundle, leaves its path as it was on the machine
 * on which it was bundled.
 */
function isBundled(): boolean {
  if (Bun.isStandaloneExecutable || !existsSync(import.meta.path)) return true;
  return !/[/\\]native[/\\]library-file\.[jt]s$/.test(import.meta.path);
}

function findOnDisk(tried: string[]): FoundLibrary | undefined {
  const file = libraryFileName(process.platform);
  const places: readonly [LibraryOrigin, string][] = [
    ["package", `../../native/${currentPlatform()}/${file}`],
    ["checkout", `../../zig/zig-out/lib/${file}`],
  ];
  for (const [origin, place] of places) {
    const path = Bun.fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return { path, origin, tried, advice: ADVICE };
    tried.push(`${path} does not exist`);
  }
  return undefined;
}

function findInProgram(tried: string[]): FoundLibrary | undefined {
  const library = embeddedLibrary();
  if (library !== undefined) return { path: extract(library), origin: "program", tried, advice: ADVICE_TO_PROGRAM };
  tried.push(`${import.meta.path} is a bundle without a library for ${currentPlatform()}`);
  return undefined;
}

function extract(library: EmbeddedLibrary): string {
  const folder = join(tmpdir(), `bun-reactor-${process.getuid?.() ?? "library"}`);
  try {
    return extractLibrary(library, folder);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `the native library inside this program cannot be written to ${folder}: ${reason}. ` +
        `Set ${TEMPORARY_VARIABLE} to a folder that can be written to, or ${NAME_A_FILE}`,
      { cause: error },
    );
  }
}

function refuseMissing(tried: readonly string[]): never {
  throw new Error(`the native library for ${currentPlatform()} was not found: ${tried.join("; ")}. ${ADVICE}`);
}

/** What names the folder for temporary files; `os.tmpdir` looks at it first. */
const TEMPORARY_VARIABLE = process.platform === "win32" ? "TEMP" : "TMPDIR";

/** How to come by a library that fits: the end of every error message about one. */
export const ADVICE =
  `Install bun-reactor anew, or in a checkout build the library with "bun run build"; ` +
  `or set $${LIBRARY_VARIABLE} to the path of one that fits this version.`;

const NAME_A_FILE =
  `$${LIBRARY_VARIABLE} to the path of ${libraryFileName(process.platform)} ` +
  `from the folder native/${currentPlatform()} of the package bun-reactor.`;

/** The file was written a moment ago, and is what it should be; but its folder may not allow programs in it. */
const ADVICE_TO_PROGRAM = `If its folder is mounted noexec, set ${TEMPORARY_VARIABLE} to another one; or set ${NAME_A_FILE}`;
