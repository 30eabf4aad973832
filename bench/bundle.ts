// What does the package add to a program that is shipped as one file? `run`, `scope` and `sleep`, bundled and
// minified by Bun, and compressed by gzip.
//
//     bun bench/bundle.ts
//     bun bench/bundle.ts --modules
//
// This package is bundled as users have it, from what `bun run pack` makes. The program of the reactor's thread is in the
// bundle as text, and counts; the native libraries, which are in it as text as well, are shown by themselves. Each bundle is
// run from a folder of its own, and must do what it should. `--modules` shows what each file contributes, before
// compression.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArguments } from "./support/arguments.ts";
import { endWithThisProcess } from "./support/children.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { formatRatio, printTable } from "./support/table.ts";
import { UserProject } from "./support/user-project.ts";

interface Program {
  readonly name: string;
  /** A file of bench/programs. */
  readonly file: string;
}

interface Module {
  readonly path: string;
  readonly bytes: number;
}

interface Measured {
  readonly program: string;
  /** Without the native libraries, as the other figures. */
  readonly bytes: number;
  readonly compressedBytes: number;
  /** What the native libraries add. */
  readonly librariesBytes: number;
  /** What is left of each source file. */
  readonly modules: readonly Module[];
}

const PROGRAMS: readonly Program[] = [
  { name: "bun-reactor", file: "bundled.ts" },
  { name: "Effect", file: "bundled-effect.ts" },
  { name: "Effection", file: "bundled-effection.ts" },
];
const OUTPUT = "hello\n";
const GZIP_LEVEL = 9;
const BYTES_PER_KB = 1000;

/** What a library is in a minified bundle; see scripts/pack/javascript.ts. */
const LIBRARY_TEXT = /(?<=content:")[A-Za-z0-9+/=]+(?=")/g;

// There are no rounds to shorten.
const given = parseArguments({ modules: "flag", quick: "flag" });

await main();

async function main(): Promise<void> {
  using project = await UserProject.make();
  const measured: Measured[] = [];
  for (const program of PROGRAMS) measured.push(await measure(program, project));
  console.log();
  print(measured);
  if (given.modules === true) for (const { program, modules } of measured) printModules(program, modules);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("bundle", measured, goals);
}

async function measure({ name, file }: Program, project: UserProject): Promise<Measured> {
  const { outputs, metafile } = await Bun.build({
    entrypoints: [project.addProgram(file)],
    root: project.folder,
    minify: true,
    target: "bun",
    metafile: true,
  });
  const code = await outputs[0]!.text();
  await check(name, code);
  const withoutLibraries = code.replaceAll(LIBRARY_TEXT, "");
  return {
    program: name,
    bytes: withoutLibraries.length,
    compressedBytes: compress(withoutLibraries),
    librariesBytes: code.length - withoutLibraries.length,
    modules: Object.values(metafile!.outputs).flatMap(({ inputs }) =>
      Object.entries(inputs).map(([path, { bytesInOutput }]) => ({ path, bytes: bytesInOutput })),
    ),
  };
}

/** @throws Error if the bundle does not do what the program should. */
async function check(name: string, code: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bun-reactor-bundle-"));
  try {
    writeFileSync(join(folder, "program.js"), code);
    await run(name, join(folder, "program.js"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(name: string, path: string): Promise<void> {
  const child = Bun.spawn([process.execPath, path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  endWithThisProcess(child);
  const printed = await new Response(child.stdout).text();
  const exitCode = await child.exited;
  if (exitCode === 0 && printed === OUTPUT) return;
  throw new Error(`the bundle of ${name} ended with exit code ${exitCode} and printed ${JSON.stringify(printed)}`);
}

function compress(code: string): number {
  return Bun.gzipSync(code, { level: GZIP_LEVEL }).length;
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "bundle", value: ({ program }) => program },
      { title: "bytes", value: ({ bytes }) => formatWhole(bytes) },
      { title: "gzipped", value: ({ compressedBytes }) => formatWhole(compressedBytes) },
      { title: "and libraries", value: ({ librariesBytes }) => formatWhole(librariesBytes) },
      { title: "ours/this", value: (row) => formatRatio(measured[0]!.compressedBytes / row.compressedBytes) },
    ],
    measured,
  );
}

function printModules(program: string, modules: readonly Module[]): void {
  const kept = modules.filter(({ bytes }) => bytes > 0).toSorted((one, other) => other.bytes - one.bytes);
  console.log();
  printTable<Module>(
    [
      { title: program, value: ({ path }) => path },
      { title: "bytes", value: ({ bytes }) => formatWhole(bytes) },
    ],
    kept,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const kilobytes = measured[0]!.compressedBytes / BYTES_PER_KB;
  return [atMost(12, "run, scope and sleep, bundled and gzipped, with the reactor's thread", kilobytes, "KB")];
}

function formatWhole(value: number): string {
  return value.toLocaleString("en-US");
}
