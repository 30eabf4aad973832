/** Programs that are shipped as one file: `bun build` makes it, and the project is not there any more when it runs. */

import { afterEach, beforeEach, expect, setDefaultTimeout } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { libraryFileName, currentPlatform } from "../../src/native/library-file.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { temporaryFolder, type TemporaryPath } from "../support/temporary.ts";
import { afterAll, beforeAll, describe, test } from "./support/natively.ts";
import { ECHO } from "./support/programs.ts";
import { type Outcome, Project, runIn } from "./support/project.ts";
import { PACK_LIMIT_MS, TEST_TARGETS, PROGRAMS_LIMIT_MS } from "./support/tarball.ts";

setDefaultTimeout(PROGRAMS_LIMIT_MS);

const HELLO: Outcome = { exitCode: 0, stdout: "hello\n", stderr: "" };

let project: Project;
let elsewhere: TemporaryPath;
/** The folder for temporary files that the programs see, whether it is there or not. */
let temporary: string;

beforeAll(async () => {
  project = await Project.install();
  project.write("echo.ts", ECHO);
}, PACK_LIMIT_MS);
afterAll(() => project[Symbol.dispose]());

beforeEach(() => {
  elsewhere = temporaryFolder();
  temporary = join(elsewhere.name, "tmp");
  mkdirSync(temporary);
});
afterEach(() => elsewhere[Symbol.dispose]());

async function build(...buildArguments: readonly string[]): Promise<string> {
  const { exitCode, stderr } = await project.bun(["build", "echo.ts", ...buildArguments]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  return stderr;
}

/** Runs a program with the project gone. */
function runAlone(command: readonly string[], environment: Record<string, string> = {}): Promise<Outcome> {
  return project.whileGone(() =>
    runIn(elsewhere.name, command, {
      environment: { TMPDIR: temporary, TEMP: temporary, TMP: temporary, ...environment },
    }),
  );
}

/** The library files that a program has put into the folder for temporary files. */
function extracted(): string[] {
  return readdirSync(temporary, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(libraryFileName(process.platform)));
}

describe("bun build --target bun", () => {
  expectNothingLeftBehind();

  test.each([
    ["as it is", []],
    ["minified", ["--minify"]],
    ["for production, with chunks", ["--production", "--splitting"]],
  ] as const)("makes one file that runs anywhere: %s", async (_how, options) => {
    const folder = join(project.folder, "out");
    await build("--target", "bun", "--outdir", folder, ...options);
    expect(readdirSync(folder)).toEqual(["echo.js"]);
    cpSync(join(folder, "echo.js"), join(elsewhere.name, "moved.js"));
    expect(await runAlone([process.execPath, "moved.js"])).toEqual(HELLO);
  });

  test("makes a CommonJS bundle that runs anywhere, although its modules know where they were", async () => {
    project.write(
      "later.ts",
      `import { run, sleep } from "bun-reactor";
       void run(function* main() { yield* sleep(1); console.log("hello"); });`,
    );
    const bundle = join(elsewhere.name, "later.cjs");
    const built = await project.bun(["build", "later.ts", "--target", "bun", "--format", "cjs", "--outfile", bundle]);
    expect(built).toMatchObject({ exitCode: 0 });
    expect(await runAlone([process.execPath, bundle])).toEqual(HELLO);
  });

  test("has the libraries of all platforms, because it may run on any", async () => {
    const bundle = join(elsewhere.name, "echo.js");
    await build("--target", "bun", "--outfile", bundle);
    const code = readFileSync(bundle, "utf8");
    for (const { name } of TEST_TARGETS) expect(code).toContain(embeddedLibrary(name));
  });

  test("leaves out what the program does not use", async () => {
    project.write("small.ts", `import { Channel } from "bun-reactor"; console.log(typeof Channel);`);
    const bundle = join(elsewhere.name, "small.js");
    expect(await project.bun(["build", "small.ts", "--target", "bun", "--outfile", bundle])).toMatchObject({
      exitCode: 0,
    });
    const code = readFileSync(bundle, "utf8");
    expect(code).not.toContain("bun:ffi");
    for (const { name } of TEST_TARGETS) expect(code).not.toContain(embeddedLibrary(name));
    expect((await runAlone([process.execPath, bundle])).stdout).toBe("function\n");
  });
});

describe("bun build --compile", () => {
  expectNothingLeftBehind();

  let executable: string;

  beforeAll(async () => {
    executable = join(project.folder, process.platform === "win32" ? "echo.exe" : "echo");
    await build("--compile", "--outfile", executable);
  }, PROGRAMS_LIMIT_MS);

  /** The executable outside of the project. */
  function move(): string {
    const path = join(elsewhere.name, process.platform === "win32" ? "moved.exe" : "moved");
    cpSync(executable, path);
    return path;
  }

  test("makes an executable that needs nothing, and extracts its library once", async () => {
    const path = move();
    expect(await runAlone([path])).toEqual(HELLO);
    const files = extracted();
    expect(files).toHaveLength(1);
    expect(await runAlone([path])).toEqual(HELLO);
    expect(extracted()).toEqual(files);
  });

  test("puts only this platform's library into it", () => {
    const content = readFileSync(executable);
    for (const { name } of TEST_TARGETS) {
      expect({ name, isThere: content.includes(embeddedLibrary(name)) }).toEqual({
        name,
        isThere: name === currentPlatform(),
      });
    }
  });

  test("replaces an extracted library that was cut off, and is not taken in by one of the same name", async () => {
    const path = move();
    expect(await runAlone([path])).toEqual(HELLO);
    const library = join(temporary, extracted()[0]!);
    truncateSync(library, 1_000);
    expect(await runAlone([path])).toEqual(HELLO);
    writeFileSync(library, "something else");
    expect(await runAlone([path])).toEqual(HELLO);
  });

  test("many at once share one library", async () => {
    const path = move();
    const outcomes = await project.whileGone(() =>
      Promise.all(
        Array.from({ length: 4 }, () => runIn(elsewhere.name, [path], { environment: { TMPDIR: temporary } })),
      ),
    );
    for (const outcome of outcomes) expect(outcome).toEqual(HELLO);
    expect(extracted()).toHaveLength(1);
  });

  test("that has no folder for temporary files says what to do, and a library by name helps", async () => {
    const path = move();
    const file = join(elsewhere.name, "a file");
    writeFileSync(file, "");
    const unusable = { TMPDIR: file, TEMP: file, TMP: file };
    const { exitCode, stderr } = await runAlone([path], unusable);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`the native library inside this program cannot be written to ${file}`);
    expect(stderr).toMatch(
      /Set (TMPDIR|TEMP) to a folder that can be written to, or \$BUN_REACTOR_LIBRARY to the path of/,
    );
    expect(stderr).toContain(`native/${currentPlatform()} of the package bun-reactor`);
    const library = join(elsewhere.name, libraryFileName(process.platform));
    cpSync(
      join(project.folder, "node_modules/bun-reactor/native", currentPlatform(), libraryFileName(process.platform)),
      library,
    );
    expect(await runAlone([path], { ...unusable, BUN_REACTOR_LIBRARY: library })).toEqual(HELLO);
  });

  test("works with bytecode and minified as well", async () => {
    const path = join(elsewhere.name, process.platform === "win32" ? "fast.exe" : "fast");
    project.write(
      "fast.ts",
      `import { run, sleep } from "bun-reactor";
         void run(function* main() { yield* sleep(1); console.log("hello"); });`,
    );
    const built = await project.bun(["build", "fast.ts", "--compile", "--minify", "--bytecode", "--outfile", path]);
    expect(built).toMatchObject({ exitCode: 0 });
    expect(await runAlone([path])).toEqual(HELLO);
  });
});

/** What a platform's library is in a bundle: some of its text. */
function embeddedLibrary(platform: string): string {
  const path = join(project.folder, "node_modules/bun-reactor/native", platform, "embedded.cjs");
  const text = /"content":"([^"]+)"/.exec(readFileSync(path, "utf8"))![1]!;
  return text.slice(1_000, 2_000);
}
