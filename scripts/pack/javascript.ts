// What TypeScript and Bun's bundler make of the sources: JavaScript and declarations, file by file, so that whoever bundles
// the package takes along only what they use; and the modules that only a package has.

import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { createHash } from "node:crypto";
import type { BuiltLibrary } from "./libraries.ts";
import type { PackedFile } from "./tarball.ts";

const COMPILER = "node_modules/typescript/bin/tsc";
const PROJECT = "scripts/pack/tsconfig.json";

/** The entries that users import, without extension. */
const ENTRIES = ["index", "test"];

/** What the bundled text of this module replaces need not be there by itself. */
const WORKER = "reactor/reactor.worker";

/** The folder `dist` of the package. @throws Error if the sources do not compile */
export async function compile(root: string, libraries: readonly BuiltLibrary[]): Promise<PackedFile[]> {
  // Comments are for readers: of the declarations in an editor, and not of the code that runs.
  const code = emit(root, ["--declaration", "false", "--removeComments", "true"]);
  const declarations = emit(root, ["--declaration", "true", "--emitDeclarationOnly", "true"]);
  const modules = new Map(code.entries().map(([path, text]) => [path, path === "bin.js" ? text : asItIs(text)]));
  modules.set("reactor/reactor-worker.js", asItIs(workerModule(await bundleWorker(root))));
  modules.set("native/embedded-library.js", embeddedModule(libraries));
  for (const name of ENTRIES) modules.set(`${name}.needs-bun.js`, refusal(modules.get(`${name}.js`)!));
  for (const [path, text] of reachableDeclarations(declarations)) modules.set(path, text);
  return [...modules].map(([path, content]) => ({ path: `dist/${path}`, content, isExecutable: path === "bin.js" }));
}

/** The files that a bundle takes along in the place of a library file: one for each platform, as a module. */
export function embeddedLibraries(libraries: readonly BuiltLibrary[]): PackedFile[] {
  return libraries.map(({ target, content }) => ({
    path: `native/${target.name}/embedded.cjs`,
    content: `module.exports = ${JSON.stringify({
      fileName: target.libraryFile,
      sha256: createHash("sha256").update(content).digest("hex"),
      content: Buffer.from(Bun.zstdCompressSync(content, { level: STRONGEST_ZSTD })).toString("base64"),
    })};\n`,
  }));
}

/** What the compiler writes, by path. */
function emit(root: string, compilerArguments: readonly string[]): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "bun-reactor-pack-"));
  try {
    const command = [join(root, COMPILER), "--project", join(root, PROJECT), "--outDir", folder, ...compilerArguments];
    const { error, status, stdout } = spawnSync(process.execPath, command, { cwd: root, encoding: "utf8" });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`the sources do not compile:\n${stdout}`);
    const files = globSync("**/*.{js,ts}", { cwd: folder }).map((file) => file.replaceAll("\\", "/"));
    const kept = files.filter((file) => !file.startsWith(WORKER));
    return new Map(kept.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The reactor thread's program, whole. */
async function bundleWorker(root: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src", `${WORKER}.ts`)],
    root,
    target: "bun",
    minify: true,
  });
  return outputs[0]!.text();
}

/**
 * Bun runs a module with this mark without transpiling it first, which saves a quarter of the time that the package takes to
 * load. There is nothing to transpile in what the compiler has written for ESNext; a call of `require` there would be.
 */
function asItIs(code: string): string {
  if (/\brequire\(/.test(code)) throw new Error(`a module that calls require needs to be transpiled:\n${code}`);
  return `// @bun\n${code}`;
}

function workerModule(text: string): string {
  return `export const REACTOR_WORKER = {\n  isText: true,\n  source: ${JSON.stringify(text)},\n};\n`;
}

/**
 * Conditions that `bun build --compile` knows the outcome of: it leaves the other platforms' libraries out. Any other
 * bundle has them all, since it may be run anywhere.
 */
function embeddedModule(libraries: readonly BuiltLibrary[]): string {
  const lines = libraries.map(
    ({ target: { name, os, cpu } }) =>
      `  if (process.platform === "${os}" && process.arch === "${cpu}") return require("../../native/${name}/embedded.cjs");\n`,
  );
  return `export function embeddedLibrary() {\n${lines.join("")}  return undefined;\n}\n`;
}

/** The same names as the real module has, or the import of one would fail before anything could be said. */
function refusal(code: string): string {
  const names = new Bun.Transpiler().scan(code).exports.toSorted();
  return `throw new Error(
  "bun-reactor needs Bun 1.4.5 or later (https://bun.com): it waits for descriptors through bun:ffi. " +
    (globalThis.Bun === undefined
      ? "Run this program with \`bun\` instead of \`node\`."
      : 'Bundle it with \`bun build --target bun\`, or tell your bundler the condition "bun".'),
);
export let ${names.join(", ")};
`;
}

/** Those that a user's compiler reads, with the names of the files that are there. */
function reachableDeclarations(declarations: ReadonlyMap<string, string>): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    const text = declarations.get(path);
    if (text === undefined) throw new Error(`a declaration imports ${path}, and there is no such file`);
    found.set(path, text.replaceAll(RELATIVE_IMPORT, "$1.js$2"));
    for (const [, specifier = ""] of text.matchAll(RELATIVE_IMPORT)) {
      const name = specifier.slice(specifier.search(/["']/) + 1);
      visit(posix.join(dirname(path), `${name}.d.ts`));
    }
  };
  for (const name of ENTRIES) visit(`${name}.d.ts`);
  return found;
}

/** The compiler keeps the sources' extensions in declarations. */
const RELATIVE_IMPORT = /(\b(?:from |import |import\()"\.[^"]*)\.ts(")/g;

/** Zstandard's highest without its "ultra" levels, which pay off only for large files. */
const STRONGEST_ZSTD = 19;
