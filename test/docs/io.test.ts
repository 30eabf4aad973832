/**
 * The programs of docs/io.md compile, run on the real system as they stand there, and print what their `// prints`
 * comments promise. The first line of each says how it is started; one without such a line is only compiled, because it
 * needs a server.
 */

import { afterAll, expect } from "bun:test";
import { describeReal } from "../real/support/component.ts";
import { type PageProgram, readPage, UserProject } from "../support/pages.ts";
import { patient } from "../support/patience.ts";
import { firstOf, needs, NEEDS_QUICK_STARTS, NEEDS_SHELL } from "../support/needs.ts";
import { describeUnless, testUnless, TYPES_CHECKED_NATIVELY } from "../support/platform.ts";

const { programs, text } = readPage("docs/io.md");

const project = new UserProject();
afterAll(() => project[Symbol.dispose]());

// What the page tells to have beside a program: a certificate, and the bindings of C libraries.
project.copy("test/support/certificates/stranger.pem", "server.pem");
project.copy("test/support/certificates/stranger.key", "server.key");
for (const binding of ["libpq", "libpq-calls", "libzmq"]) {
  project.copy(`tasks/support/${binding}.ts`, `support/${binding}.ts`, (source) =>
    source.replaceAll('"../../src/index.ts"', '"bun-reactor"'),
  );
}

/** Such as `printf '3\n4\n' | bun sum.ts`, and the file in it. */
function commandOf({ source }: PageProgram): { command: string; file: string } | null {
  const [, command, file] = /^\/\/ (.*\bbun (?:test )?(\S+\.ts))\n/.exec(source) ?? [];
  return command === undefined ? null : { command, file: file! };
}

function testProgram(program: PageProgram): void {
  const start = commandOf(program);
  if (start === null) return;
  const reason = program.source.includes("openSerial") ? needs("serialPorts") : null;
  testUnless(reason)(`${program.title}: ${start.file} prints what it promises`, async () => {
    const { command, file } = start;
    project.write(file, program.source);
    const asTest = command.includes("bun test ");
    const here = command.replace(/\bbun /, '"$BUN" ').replace("test ", `test --timeout ${TEST_LIMIT_MS} ./`);
    await using child = Bun.spawn(["sh", "-c", here], {
      cwd: project.folder,
      env: { ...process.env, BUN: process.execPath, NO_COLOR: "1", FORCE_COLOR: undefined },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: LIMIT_MS,
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const exitCode = await child.exited;
    if (exitCode !== 0) console.error(stderr);
    expect(exitCode).toBe(0);
    if (asTest) return;
    expect(program.promised.length).toBeGreaterThan(0);
    expect(stdout.trimEnd().split("\n")).toEqual([...program.promised]);
  });
}

/** Only a program that hangs meets it. */
const LIMIT_MS = patient(20_000);
/** Bun's own. */
const TEST_LIMIT_MS = patient(5_000);

const needsZeroMQ = (program: PageProgram): boolean => program.source.includes("support/libzmq.ts");

describeUnless(firstOf(NEEDS_SHELL, NEEDS_QUICK_STARTS))("the programs", () => {
  for (const program of programs.filter((program) => !needsZeroMQ(program))) testProgram(program);
});

describeReal("the programs for ZeroMQ", { libraries: ["libzmq.so.5"] }, () => {
  for (const program of programs.filter(needsZeroMQ)) testProgram(program);
});

testUnless(firstOf(NEEDS_SHELL, TYPES_CHECKED_NATIVELY))(
  "the programs compile under the strictest options, as they stand there",
  async () => {
    expect(await project.typeErrors(programs.map(({ source }) => source))).toBe("");
  },
);

testUnless(NEEDS_SHELL)("what prints something says how it is started, and no two have the same name", () => {
  const silent = programs.filter((program) => commandOf(program) === null);
  expect(silent.flatMap(({ promised }) => promised)).toEqual([]);
  const files = programs.map((program) => commandOf(program)?.file).filter((file) => file !== undefined);
  expect(files.length).toBeGreaterThan(10);
  expect(new Set(files).size).toBe(files.length);
});

testUnless(NEEDS_SHELL)("each of the packages and calls that the page begins with has a section", () => {
  const [, table] = /\n\n(\|[^]*?\n)\n/.exec(text) ?? [];
  const anchors = [...table!.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor);
  const headlines = [...text.matchAll(/^## (.*)$/gm)].map(([, headline]) => anchorOf(headline!));
  expect(anchors.length).toBeGreaterThan(10);
  expect(anchors.filter((anchor) => !headlines.includes(anchor!))).toEqual([]);
});

/** As GitHub makes it. */
function anchorOf(headline: string): string {
  return headline
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
