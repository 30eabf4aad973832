/** The package that the tests of this folder install: made when something that it consists of has changed. */

import { cpSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pack } from "../../../scripts/pack.ts";
import { type Target, TARGETS } from "../../../scripts/targets.ts";
import { currentPlatform } from "../../../src/native/library-file.ts";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Where packages are kept from one run to the next. */
const FOLDER = join(ROOT, "build", "test");

/** What goes into the package, or makes it. */
const INPUTS = ["src/**/*.ts", "scripts/**/*.{ts,json}", "zig/{build.zig,build.zig.zon,src/**/*.zig}", "docs/*.md"];
const INPUT_FILES = [
  "package.json",
  "tsconfig.json",
  "bun.lock",
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "LICENSE",
];

/** This platform, and another one, whose library must not get into the way. */
export const TEST_TARGETS: readonly Target[] = [
  TARGETS.find(({ name }) => name === currentPlatform())!,
  TARGETS.find(({ name, os }) => name !== currentPlatform() && os === "linux")!,
];

/** Compiling, with a machine that has other things to do as well. */
export const PACK_LIMIT_MS = 120_000;

/**
 * A second checkout, in another folder and with caches of its own, as someone else would have it. It is kept as the tarball
 * is: whoever changes a file in it puts it back.
 */
export async function secondCheckout(): Promise<string> {
  const folder = join(dirname(await packedTarball()), "second");
  if (await Bun.file(join(folder, "complete")).exists()) return folder;
  rmSync(folder, { recursive: true, force: true });
  for (const file of inputs()) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "complete"), "");
  return folder;
}

/** Several programs, one after the other; the compiler or a bundler among them. */
export const PROGRAMS_LIMIT_MS = 60_000;

let made: Promise<string> | undefined;

/** The path of a tarball with the libraries of `TEST_TARGETS`. */
export function packedTarball(): Promise<string> {
  made ??= makeTarball();
  return made;
}

async function makeTarball(): Promise<string> {
  const path = join(FOLDER, hashOfInputs(), "bun-reactor.tgz");
  if (await Bun.file(path).exists()) return path;
  rmSync(FOLDER, { recursive: true, force: true });
  const { tarball } = await pack({ targets: TEST_TARGETS });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.tmp`, tarball);
  renameSync(`${path}.tmp`, path);
  return path;
}

function hashOfInputs(): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const file of inputs()) {
    const content = readFileSync(join(ROOT, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

function inputs(): string[] {
  return [...globSync(INPUTS, { cwd: ROOT }).sort(), ...INPUT_FILES];
}
