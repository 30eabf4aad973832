// Builds the native bench programs (`load`, `echo-limit` and others) and says where they are. Builds only what changed: a
// program's name carries a hash of the sources, so one that exists is up to date.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findZig, ZIG_VERSION } from "../scripts/build-native.ts";

const FOLDER = import.meta.dirname;
const OUTPUT_FOLDER = join(FOLDER, "zig-out");
const BUILD_ARGUMENTS = ["-O", "ReleaseFast", "-fstrip"];

export type NativeProgram =
  "load" | "echo-limit" | "mixed-descriptors" | "pty-poll" | "pty-writer" | "stream" | "udp-load" | "udp-limit";

/** The others have one thread, which is simpler code. */
const MULTI_THREADED: readonly NativeProgram[] = ["pty-poll"];

/**
 * The absolute path of a native bench program, which is built first when its sources have changed. Blocks until then.
 *
 * @throws Error if there is no Zig of the right version, or if the build fails; the compiler's messages go to stderr.
 */
export function nativeProgram(program: NativeProgram): string {
  const path = join(OUTPUT_FOLDER, `${program}-${fingerprint()}`);
  if (!existsSync(path)) build(program, path);
  return path;
}

function build(program: NativeProgram, path: string): void {
  mkdirSync(OUTPUT_FOLDER, { recursive: true });
  process.stderr.write(`bench: building ${program} with Zig ${ZIG_VERSION}\n`);
  // Renamed into place, so that two benches that start at once never run half a program.
  const unfinished = `${path}.${process.pid}.tmp`;
  const threading = MULTI_THREADED.includes(program) ? [] : ["-fsingle-threaded"];
  const result = spawnSync(
    findZig(),
    [
      "build-exe",
      `${program}.zig`,
      ...BUILD_ARGUMENTS,
      ...threading,
      "--cache-dir",
      ".zig-cache",
      `-femit-bin=${unfinished}`,
    ],
    { cwd: FOLDER, stdio: ["ignore", 2, 2] },
  );
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0)
    throw new Error(`Zig could not build bench/${program}.zig; what the compiler said is above.`);
  removeOlder(program);
  renameSync(unfinished, path);
}

function removeOlder(program: NativeProgram): void {
  for (const name of readdirSync(OUTPUT_FOLDER)) {
    if (name.startsWith(`${program}-`) && !name.endsWith(".tmp")) rmSync(join(OUTPUT_FOLDER, name), { force: true });
  }
}

function fingerprint(): string {
  const hash = createHash("sha256").update(
    [ZIG_VERSION, process.platform, process.arch, ...BUILD_ARGUMENTS, ...MULTI_THREADED].join("\0"),
  );
  for (const file of globSync(["*.zig", "native/*.zig"], { cwd: FOLDER }).sort()) {
    const content = readFileSync(join(FOLDER, file));
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}
