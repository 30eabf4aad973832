/** The kit as a user has it: installed in a project, imported by name, under `bun test`. */

import { afterAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withoutNoise } from "../support/noise.ts";
import { NEEDS_LINKS } from "../support/needs.ts";
import { testUnless } from "../support/platform.ts";
import { removeFolder } from "../support/temporary.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const project = mkdtempSync(join(tmpdir(), "bun-reactor-consumer-"));
mkdirSync(join(project, "node_modules"));
if (NEEDS_LINKS === null) symlinkSync(ROOT, join(project, "node_modules", "bun-reactor"), "junction");
afterAll(() => removeFolder(project));

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function bunTest(file: string, source: string, seed?: string): Promise<Outcome> {
  mkdirSync(join(project, "test"), { recursive: true });
  writeFileSync(join(project, "test", file), source);
  await using child = Bun.spawn([process.execPath, "test", `test/${file}`], {
    cwd: project,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, SEED: seed },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, stdout, stderr: withoutNoise(stderr) };
}

const PASSING = `
import { expect, test } from "bun:test";
import { DeadlockError, join, sleep, spawn } from "bun-reactor";
import { settled, underSeeds, virtualTime, VirtualWorld } from "bun-reactor/test";

test("a day takes no time", () =>
  virtualTime(function* (world) {
    yield* sleep(86_400_000);
    expect(world.nowMs).toBe(86_400_000);
  }));

test("any order will do", () =>
  underSeeds(20, function* () {
    const child = yield* spawn(() => sleep(1));
    yield* settled();
    yield* join(child);
  }));

test("a deadlock is found", async () => {
  const world = new VirtualWorld();
  await expect(world.run(() => sleep(Infinity))).rejects.toBeInstanceOf(DeadlockError);
});
`;

const ORDER_DEPENDENT = `
import { expect, test } from "bun:test";
import { sleep, spawn } from "bun-reactor";
import { underSeeds } from "bun-reactor/test";

test("runs in the order of spawning", () =>
  underSeeds(60, function* ({ seed }) {
    const order: string[] = [];
    for (const name of ["a", "b", "c"]) yield* spawn(function* () { order.push(name); });
    yield* sleep(1);
    console.log(\`under \${seed}: \${order.join("")}\`);
    expect(order.join("")).toBe("abc");
  }));
`;

testUnless(NEEDS_LINKS)("tests of a project import bun-reactor/test and pass", async () => {
  const { exitCode, stderr } = await bunTest("passing.test.ts", PASSING);
  expect(stderr).toContain(" 3 pass");
  expect(exitCode).toBe(0);
});

testUnless(NEEDS_LINKS)("a failing seed is printed with the command that repeats it, and SEED repeats it", async () => {
  const first = await bunTest("order.test.ts", ORDER_DEPENDENT);
  expect(first.exitCode).toBe(1);
  const [, seed, command] = /seed (\d+) fails: (.*)/.exec(first.stderr) ?? [];
  expect(command).toBe(`SEED=${seed} bun test test/order.test.ts`);
  const failed = first.stdout.split("\n").find((line) => line.startsWith(`under ${seed}: `))!;

  const second = await bunTest("order.test.ts", ORDER_DEPENDENT, seed);
  expect(second.exitCode).toBe(1);
  expect(second.stderr).toContain(`seed ${seed} fails`);
  expect(second.stdout.split("\n").filter((line) => line.startsWith("under "))).toEqual([failed]);
});
