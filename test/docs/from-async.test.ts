/**
 * The programs of docs/from-async.md compile, run, and print what their `// prints` comments promise.
 *
 * They run one after the other in one process, with `run` on a virtual clock: nothing waits for a sleep.
 */

import { afterAll, beforeAll, expect } from "bun:test";
import { TestClock } from "effect/testing";
import { readPage, UserProject } from "../support/pages.ts";
import { patient } from "../support/patience.ts";
import { firstOf, NEEDS_LINKS, NEEDS_QUICK_STARTS } from "../support/needs.ts";
import { testUnless, TYPES_CHECKED_NATIVELY } from "../support/platform.ts";

const { text: PAGE, programs } = readPage("docs/from-async.md");

const project = new UserProject();
afterAll(() => project[Symbol.dispose]());

/** Stands in for the package: all as it is, but `run` is on a virtual clock. */
const VIRTUAL = `
import type { RunOptions, TaskBody } from "bun-reactor";
import { VirtualWorld } from "bun-reactor/test";

export * from "bun-reactor";

export function run<T>(body: TaskBody<T>, options?: RunOptions): Promise<T> {
  return new VirtualWorld().run(typeof body === "function" ? () => body() : body, options);
}
`;

/** Imports each program, and notes what it prints. */
const RUNNER = `
const outcomes = [];
const show = (value) => typeof value === "string" ? value : Bun.inspect(value);
const print = console.log;
for (let index = 0; index < ${programs.length}; index++) {
  const lines = [];
  console.log = (...values) => void lines.push(values.map(show).join(" "));
  let error = null;
  try {
    await import("./program-" + index + ".ts");
  } catch (thrown) {
    error = Bun.inspect(thrown);
  }
  outcomes.push({ lines, error });
}
print(JSON.stringify(outcomes));
process.exit(0);
`;

interface Outcome {
  readonly lines: readonly string[];
  readonly error: string | null;
}

let outcomes: readonly Outcome[] = [];

beforeAll(async () => {
  if (NEEDS_LINKS !== null) return;
  project.write("virtual.ts", VIRTUAL);
  project.write("runner.ts", RUNNER);
  for (const [index, { source }] of programs.entries()) {
    project.write(`program-${index}.ts`, source.replace('from "bun-reactor";', 'from "./virtual.ts";'));
  }
  await using runner = Bun.spawn([process.execPath, "runner.ts"], {
    cwd: project.folder,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    stdout: "pipe",
    stderr: "inherit",
    timeout: LIMIT_MS,
  });
  const output = await runner.stdout.text();
  expect(output).not.toBe("");
  outcomes = JSON.parse(output);
});

/** Only a program that hangs meets it. */
const LIMIT_MS = patient(20_000);

for (const [index, { title, promised }] of programs.entries()) {
  testUnless(firstOf(NEEDS_LINKS, NEEDS_QUICK_STARTS))(`${title}: prints what it promises`, () => {
    const { lines, error } = outcomes[index]!;
    expect(error).toBeNull();
    expect(promised.length).toBeGreaterThan(0);
    expect(lines).toEqual(promised);
  });
}

testUnless(NEEDS_LINKS)(
  "each section with the others' ways has a program of ours, and a column for each of them",
  () => {
    const sections = PAGE.split(/^(?=###? )/m).filter((section) => section.includes("| async/await"));
    for (const section of sections) {
      const title = section.split("\n")[0]!;
      if (title === "## The words") continue;
      expect([title, section.includes("```ts")]).toEqual([title, true]);
      expect([title, /\| async\/await +\| Effection +\| Effect +\| trio +\| Go +\|/.test(section)]).toEqual([
        title,
        true,
      ]);
    }
    expect(sections.length).toBeGreaterThan(30);
  },
);

/** What stands in backquotes in the tables, by the headline of its column. */
function waysOf(other: string): string[] {
  const ways: string[] = [];
  for (const [table] of PAGE.matchAll(/^\|.*\n(\|.*\n)+/gm)) {
    const [head, , ...rows] = table.trim().split("\n").map(cellsOf);
    const column = head!.indexOf(other);
    if (column === -1) continue;
    for (const row of rows) ways.push(...[...row[column]!.matchAll(/`([^`]+)`/g)].map(([, way]) => way!));
  }
  return ways;
}

function cellsOf(row: string): string[] {
  return row.split("|").map((cell) => cell.trim());
}

testUnless(NEEDS_LINKS)("the names of Effect exist in the version that is compared with", async () => {
  const modules: Readonly<Record<string, object | undefined>> = { ...(await import("effect")), TestClock };
  const names = waysOf("Effect").flatMap((way) => [...way.matchAll(/\b([A-Z]\w+)\.(\w+)/g)]);
  expect(names.length).toBeGreaterThan(40);
  const unknown = names.filter(([, module, name]) => !(name! in (modules[module!] ?? {}))).map(([whole]) => whole);
  expect(unknown).toEqual([]);
});

testUnless(NEEDS_LINKS)("the names of Effection exist in the version that is compared with", async () => {
  const effection = await import("effection");
  const calls = waysOf("Effection").flatMap((way) => [...way.matchAll(/(?<![.\w])([a-z]\w*)(?=\()/g)]);
  const names = calls.map(([name]) => name).filter((name) => !OF_THE_READER.has(name));
  expect(names.length).toBeGreaterThan(25);
  expect(names.filter((name) => !(name in effection))).toEqual([]);
});

/** What is called in the tables and not Effection's. */
const OF_THE_READER = new Set(["a", "b", "work", "price", "greet", "fetch"]);

testUnless(firstOf(NEEDS_LINKS, TYPES_CHECKED_NATIVELY))(
  "the programs compile under the strictest options, as they stand there",
  async () => {
    expect(await project.typeErrors(programs.map(({ source }) => source))).toBe("");
  },
);
