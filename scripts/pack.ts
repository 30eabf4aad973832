// Makes the package that users install: one tarball with compiled JavaScript, declarations and the native libraries of
// all platforms, cross-built on this machine. The same sources give the same bytes, on any machine and in any folder.
//
//     bun run pack                                  build/bun-reactor-<version>.tgz
//     bun run pack --targets linux-x64,linux-arm64  with some of the libraries, to try something out
//     bun run pack --output FOLDER                  puts it there
//
// `bun publish build/bun-reactor-<version>.tgz` publishes it.

import { globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compile, embeddedLibraries } from "./pack/javascript.ts";
import { type BuiltLibrary, buildLibrary } from "./pack/libraries.ts";
import { makeManifest } from "./pack/manifest.ts";
import { makeTarball, type PackedFile } from "./pack/tarball.ts";
import { type Target, TARGETS } from "./targets.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A package is fetched anew for every build of every container that uses it. */
export const TARBALL_LIMIT_BYTES = 700 * 1000;

export interface PackOptions {
  /** The checkout; by default this one. */
  readonly root?: string;
  readonly targets?: readonly Target[];
  /** Where the libraries are built; what is up to date there is not built again. By default `build/targets`. */
  readonly libraryFolder?: string;
}

export interface Package {
  /** Such as `bun-reactor-0.1.0.tgz`. */
  readonly fileName: string;
  readonly tarball: Uint8Array<ArrayBuffer>;
  readonly files: readonly PackedFile[];
  readonly libraries: readonly BuiltLibrary[];
}

/**
 * Makes the package in memory.
 * @throws Error if something does not compile or is too large, or if the versions of the two manifests differ
 */
export async function pack(options: PackOptions = {}): Promise<Package> {
  const { root = ROOT, targets = TARGETS, libraryFolder = join(root, "build", "targets") } = options;
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { name: string; version: string };
  const zigFolder = join(root, "zig");
  checkVersion(zigFolder, manifest.version);
  const libraries = targets.map((target) => buildLibrary(target, { zigFolder, outputFolder: libraryFolder }));
  const files = [
    { path: "package.json", content: makeManifest({ ...manifest }) },
    ...documents(root),
    ...libraries.map(({ target, content }) => ({ path: `native/${target.name}/${target.libraryFile}`, content })),
    ...embeddedLibraries(libraries),
    ...(await compile(root, libraries)),
  ];
  const tarball = makeTarball(files);
  if (tarball.length > TARBALL_LIMIT_BYTES) {
    throw new Error(`the tarball has ${tarball.length} bytes, and ${TARBALL_LIMIT_BYTES} at most will do`);
  }
  return { fileName: `${manifest.name}-${manifest.version}.tgz`, tarball, files, libraries };
}

/** The library's provenance has the version from Zig's manifest. */
function checkVersion(zigFolder: string, version: string): void {
  const zigVersion = /\.version = "([^"]*)"/.exec(readFileSync(join(zigFolder, "build.zig.zon"), "utf8"))?.[1];
  if (zigVersion === version) return;
  throw new Error(
    `package.json has version ${version}, and zig/build.zig.zon has ${zigVersion}: they must be the same`,
  );
}

function documents(root: string): PackedFile[] {
  const paths = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", ...globSync("docs/*.md", { cwd: root })];
  return paths.map((path) => ({
    path: path.replaceAll("\\", "/"),
    content: readFileSync(join(root, path), "utf8"),
  }));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { targets: { type: "string" }, output: { type: "string" } } });
  const made = await pack(values.targets === undefined ? {} : { targets: chosen(values.targets.split(",")) });
  const folder = values.output ?? join(ROOT, "build");
  const path = join(folder, made.fileName);
  writeWhole(folder, path, made.tarball);
  for (const { target, content } of made.libraries) {
    console.log(`${target.name.padEnd(16)}${kilobytes(content.length)}  ${sha256(content)}`);
  }
  console.log(`${"the tarball".padEnd(16)}${kilobytes(made.tarball.length)}  ${sha256(made.tarball)}\n${path}`);
}

function chosen(names: readonly string[]): Target[] {
  return names.map((name) => {
    const target = TARGETS.find((known) => known.name === name);
    if (target !== undefined) return target;
    throw new Error(`there is no target ${name}; there are ${TARGETS.map((known) => known.name).join(", ")}`);
  });
}

/** Whoever sees the name sees the whole file. */
function writeWhole(folder: string, path: string, content: Uint8Array): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${path}.${process.pid}.tmp`, content);
  renameSync(`${path}.${process.pid}.tmp`, path);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} KB`.padStart(9);
}

function sha256(content: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`bun-reactor: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
