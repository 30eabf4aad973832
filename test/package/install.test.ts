/** The package as a user gets it: from the tarball, without a network, a compiler or a script that runs at the end. */

import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { currentPlatform, libraryFileName } from "../../src/native/library-file.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { describeUnless } from "../support/platform.ts";
import { preludeFor, Script } from "../support/script.ts";
import { afterAll, beforeAll, describe, test } from "./support/natively.ts";
import { ECHO } from "./support/programs.ts";
import { environmentOfUser, Project } from "./support/project.ts";
import { PACK_LIMIT_MS, PROGRAMS_LIMIT_MS } from "./support/tarball.ts";

setDefaultTimeout(PROGRAMS_LIMIT_MS);

let project: Project;

beforeAll(async () => {
  project = await Project.install();
}, PACK_LIMIT_MS);
afterAll(() => project[Symbol.dispose]());

describe("bun add", () => {
  expectNothingLeftBehind();

  test("installs the package, and nothing besides, without a network", () => {
    expect(project.installation).toMatchObject({ exitCode: 0 });
    expect(project.installation.stdout).toContain("1 package installed");
    expect(readdirSync(join(project.folder, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "bun-reactor",
    ]);
  });

  test("brings the library of this platform as a file", () => {
    const library = join("native", currentPlatform(), libraryFileName(process.platform));
    expect(existsSync(join(project.folder, "node_modules", "bun-reactor", library))).toBe(true);
  });
});

describe("a project with the package", () => {
  expectNothingLeftBehind();

  test("runs an echo program", async () => {
    project.write("echo.ts", ECHO);
    expect(await project.bun(["echo.ts"])).toEqual({ exitCode: 0, stdout: "hello\n", stderr: "" });
  });

  test("can load it with require as well", async () => {
    project.write("old.cjs", `const { run } = require("bun-reactor"); run(function* () { console.log("ran"); });`);
    expect(await project.bun(["old.cjs"])).toEqual({ exitCode: 0, stdout: "ran\n", stderr: "" });
  });

  test("runs tests with bun-reactor/test", async () => {
    project.write(
      "day.test.ts",
      `import { expect, test } from "bun:test";
       import { run, sleep } from "bun-reactor";
       import { underSeeds, virtualTime } from "bun-reactor/test";
       test("a day takes no time", () => virtualTime(function* (world) {
         yield* sleep(86_400_000);
         expect(world.nowMs).toBe(86_400_000);
       }));
       test("seeds", () => underSeeds(5, () => sleep(1)));
       test("the real clock", () => run(() => sleep(1)));`,
    );
    const { exitCode, stderr } = await project.bun(["test", "day.test.ts"]);
    expect(stderr).toContain(" 3 pass\n 0 fail");
    expect(exitCode).toBe(0);
  });

  test("gets errors whose stacks end with the task's path, and point into the user's files", async () => {
    project.write(
      "fails.ts",
      `import { run, spawn } from "bun-reactor";
       await run(function* main() {
         yield* spawn(function* child() { throw new Error("on purpose"); });
       }).catch((error) => console.log(error.stack));`,
    );
    const { stdout } = await project.bun(["fails.ts"]);
    expect(stdout).toContain("Error: on purpose");
    expect(stdout).toContain("fails.ts:3:");
    expect(stdout).toContain("    in task child (#2)\n    of task main (#1)\n");
  });

  test("traces where tasks were spawned, in the user's own files", async () => {
    project.write(
      "traced.ts",
      `import { run, sleep, spawn, taskTree, traceSpawns } from "bun-reactor";
       traceSpawns(true);
       await run(function* main() {
         yield* spawn(() => sleep(1));
         console.log(JSON.stringify(taskTree()));
       });`,
    );
    const { stdout } = await project.bun(["traced.ts"]);
    expect(stdout).toContain("traced.ts:4:");
    expect(stdout).not.toContain("node_modules");
  });

  test("is reloaded by bun --hot: one reactor thread serves each generation", async () => {
    const entry = pathToFileURL(join(project.folder, "node_modules", "bun-reactor", "dist", "index.js")).href;
    const source = (generation: number): string => `${preludeFor(entry)}
      run(function* main() {
        try {
          whenParkedAlone(() => console.log("parked ${generation}"));
          yield* sleep(100_000);
        } finally { console.log("cleaned up ${generation}"); }
      }).catch(() => {});`;
    await using script = Script.start(source(0), {
      command: [process.execPath, "--hot", "--no-clear-screen"],
    });
    expect(await script.lineAfter("parked")).toBe("0");
    for (let generation = 1; generation <= 3; generation++) {
      script.rewrite(source(generation));
      const wanted = new Set([`cleaned up ${generation - 1}`, `parked ${generation}`]);
      while (wanted.size > 0) wanted.delete(await script.line());
    }
    script.signal("SIGTERM");
    expect(await script.end()).toEqual({ exitCode: null, signal: "SIGTERM", stderr: "" });
  });
});

describe("bunx bun-reactor doctor", () => {
  expectNothingLeftBehind();

  test("says that the package works here, with the library that came with it", async () => {
    const { exitCode, stdout, stderr } = await project.bun(["x", "bun-reactor", "doctor", "--json"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ isHealthy: true, problems: [], platform: currentPlatform() });
    expect(report.library.origin).toBe("package");
    expect(report.library.path).toStartWith(join(project.folder, "node_modules", "bun-reactor", "native"));
    expect(report.library.provenance).toStartWith(`bun-reactor ${report.version} zig=`);
  });

  test("finds out that the library is missing, says which paths were tried, and ends with 1", async () => {
    using broken = await Project.install();
    const library = join(
      broken.folder,
      "node_modules/bun-reactor/native",
      currentPlatform(),
      libraryFileName(process.platform),
    );
    await Bun.file(library).delete();
    const { exitCode, stdout } = await broken.bun(["x", "bun-reactor", "doctor"]);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(`problem: the native library for ${currentPlatform()} was not found`);
    expect(stdout).toContain("$BUN_REACTOR_LIBRARY is not set");
    expect(stdout).toContain(`${library} does not exist`);
    expect(stdout).toContain("broken: bun-reactor does not work here");
  });
});

/** Absent, where nobody has Node.js: there is nobody then to whom anything could be said. */
const node = Bun.which("node", { PATH: environmentOfUser()["PATH"] ?? "" });
// Bun stands in for a missing `node` by a link of that name.
const isNode = node !== null && !readFileSync(node).includes("__bun");

describeUnless(isNode ? null : "this machine has no Node.js")("Node.js", () => {
  expectNothingLeftBehind();

  test.each(["bun-reactor", "bun-reactor/test"])("says at once that %s needs Bun", async (name) => {
    const names = name === "bun-reactor" ? "run, TcpStream" : "virtualTime";
    project.write("program.mjs", `import { ${names} } from "${name}"; console.log("not reached", ${names});`);
    const { exitCode, stdout, stderr } = await project.run([node!, "program.mjs"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain("Error: bun-reactor needs Bun 1.4.5 or later");
    expect(stderr).toContain("Run this program with `bun` instead of `node`.");
  });

  test("that runs the command says it as well, and ends with 1", async () => {
    const { exitCode, stderr } = await project.run([node!, "node_modules/bun-reactor/dist/bin.js", "doctor"]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe("bun-reactor needs Bun 1.4.5 or later (https://bun.com): try `bunx bun-reactor doctor`\n");
  });
});
