// What does the package add to a program that is shipped as one file? `run`, `scope` and `sleep`, bundled and
// minified by Bun, and compressed by gzip.
//
//     bun bench/bundle.ts
//     bun bench/bundle.ts --modules
//
// A bundle of this package is two files: the program's, and the one of the reactor's Worker, which is bundled by
// itself and counts as well. The native library does not. Each bundle is run from a folder of its own, and must do
// what it should. `--modules` shows what each source file contributes, before compression.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArguments } from "./support/arguments.ts";
import { endWithThisProcess } from "./support/children.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { formatRatio, printTable } from "./support/table.ts";

interface Program {
  readonly name: string;
  /** The files that are bundled, the program itself first. */
  readonly files: readonly string[];
}

interface Bundle {
  readonly file: string;
  readonly code: Uint8Array<ArrayBuffer>;
  /** What is left of each source file, in bytes. */
  readonly modules: readonly Module[];
}

interface Module {
  readonly path: string;
  readonly bytes: number;
}

interface Measured {
  readonly program: string;
  readonly bytes: number;
  readonly compressedBytes: number;
  /** Of the files after the first, which are part of the sum. */
  readonly workerCompressedBytes: number;
  readonly modules: readonly Module[];
}

const ROOT = join(import.meta.dirname, "..");
const PROGRAMS: readonly Program[] = [
  { name: "bun-reactor", files: ["bench/programs/bundled.ts", "src/reactor/reactor.worker.ts"] },
  { name: "Effect", files: ["bench/programs/bundled-effect.ts"] },
  { name: "Effection", files: ["bench/programs/bundled-effection.ts"] },
];
const OUTPUT = "hello\n";
const LIBRARY = join(ROOT, "zig/zig-out/lib/libbun_reactor.so");
const GZIP_LEVEL = 9;
const BYTES_PER_KB = 1000;

// There are no rounds to shorten.
const given = parseArguments({ modules: "flag", quick: "flag" });

await main();

async function main(): Promise<void> {
  const measured: Measured[] = [];
  for (const program of PROGRAMS) measured.push(await measure(program));
  console.log();
  print(measured);
  if (given.modules === true) for (const { program, modules } of measured) printModules(program, modules);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("bundle", measured, goals);
}

async function measure({ name, files }: Program): Promise<Measured> {
  const bundles = await Promise.all(files.map(bundle));
  await check(name, bundles);
  const [compressedBytes = 0, ...others] = bundles.map(({ code }) => compress(code));
  const workerCompressedBytes = sum(others);
  return {
    program: name,
    bytes: sum(bundles.map(({ code }) => code.length)),
    compressedBytes: compressedBytes + workerCompressedBytes,
    workerCompressedBytes,
    modules: bundles.flatMap(({ modules }, index) => (index === 0 ? modules : modules.map(ofWorker))),
  };
}

/** The Worker has copies of what it shares with the program. */
function ofWorker({ path, bytes }: Module): Module {
  return { path: `${path}, Worker`, bytes };
}

async function bundle(file: string): Promise<Bundle> {
  const { outputs, metafile } = await Bun.build({
    entrypoints: [join(ROOT, file)],
    root: ROOT,
    minify: true,
    target: "bun",
    metafile: true,
  });
  const modules = Object.values(metafile!.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).map(([path, { bytesInOutput }]) => ({ path, bytes: bytesInOutput })),
  );
  return { file, code: new Uint8Array(await outputs[0]!.arrayBuffer()), modules };
}

/** @throws Error if the bundles do not do what the program should. */
async function check(name: string, bundles: readonly Bundle[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bun-reactor-bundle-"));
  try {
    // The program looks for its Worker beside itself, under the name of the source file.
    for (const { file, code } of bundles) writeFileSync(join(folder, basename(file)), code);
    await run(name, join(folder, basename(bundles[0]!.file)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(name: string, path: string): Promise<void> {
  const child = Bun.spawn([process.execPath, path], {
    env: { ...process.env, BUN_REACTOR_LIBRARY: LIBRARY },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  endWithThisProcess(child);
  const printed = await new Response(child.stdout).text();
  const exitCode = await child.exited;
  if (exitCode === 0 && printed === OUTPUT) return;
  throw new Error(`the bundle of ${name} ended with exit code ${exitCode} and printed ${JSON.stringify(printed)}`);
}

function compress(code: Uint8Array<ArrayBuffer>): number {
  return Bun.gzipSync(code, { level: GZIP_LEVEL }).length;
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "bundle", value: ({ program }) => program },
      { title: "bytes", value: ({ bytes }) => formatWhole(bytes) },
      { title: "gzipped", value: ({ compressedBytes }) => formatWhole(compressedBytes) },
      { title: "of it the Worker", value: ({ workerCompressedBytes }) => formatWhole(workerCompressedBytes) },
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
  return [atMost(12, "run, scope and sleep, bundled and gzipped, with the Worker", kilobytes, "KB")];
}

function formatWhole(value: number): string {
  return value.toLocaleString("en-US");
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
