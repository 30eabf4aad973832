/** What `bun run test:platforms` reads out of the output of runs; the outputs are as Bun 1.4.5 and the contract suite print them. */

import { describe, expect, test } from "bun:test";
import { outcomeOfBun, outcomeOfCommand, outcomeOfZig, sumOf } from "../../scripts/platforms/outcome.ts";
import type { Run } from "../../scripts/platforms/run.ts";

function runOf(output: string, end: Partial<Run> = {}): Run {
  return { output, exitCode: 0, signal: null, isOverLimit: false, durationMs: 1000, ...end };
}

const MIXED = `bun test v1.4.5 (a7733435c)

test/core/sleep.test.ts:
(pass) sleep > takes fractions of a millisecond [1.67ms]
(pass) sleep > is at once over

test/io/pty.test.ts:
(skip) a pty [skipped: no /dev/ptmx: sad] > in run > reads a line
(skip) a speed [skipped: no termios2]
(skip) a secret
(skip) a pty [skipped: no /dev/ptmx: sad] > (unnamed)
(todo) a dream
12 | expect(1).toBe(2);
error: expect(received).toBe(expected)
(fail) a pty > is closed [3.21ms]

3 tests skipped:
(skip) a pty [skipped: no /dev/ptmx: sad] > in run > reads a line
(skip) a speed [skipped: no termios2]
(skip) a secret


1 tests failed:
(fail) a pty > is closed [3.21ms]

 2 pass
 4 skip
 1 todo
 1 fail
 12 expect() calls
Ran 7 tests across 2 files. [1.20s]
`;

describe("the outcome of bun test", () => {
  test("counts each test once, with its file, and each skip with its reason", () => {
    const outcome = outcomeOfBun(runOf(MIXED, { exitCode: 1 }));
    expect(outcome.passed).toBe(2);
    expect(outcome.skips).toEqual([
      {
        name: "test/io/pty.test.ts: a pty [skipped: no /dev/ptmx: sad] > in run > reads a line",
        reason: "no /dev/ptmx: sad",
      },
      { name: "test/io/pty.test.ts: a speed [skipped: no termios2]", reason: "no termios2" },
      { name: "test/io/pty.test.ts: a secret", reason: "it does not say why" },
      { name: "test/io/pty.test.ts: a dream", reason: "to be written" },
    ]);
    expect(outcome.failures).toEqual([
      {
        name: "test/io/pty.test.ts: a pty > is closed",
        details: "12 | expect(1).toBe(2);\nerror: expect(received).toBe(expected)",
      },
    ]);
  });

  test("is the same with colours and with Windows' ends of lines", () => {
    const colored = MIXED.replaceAll(/^\((\w+)\)/gm, "\x1b[0m\x1b[32m($1)\x1b[0m").replaceAll("\n", "\r\n");
    expect(outcomeOfBun(runOf(colored, { exitCode: 1 }))).toEqual(outcomeOfBun(runOf(MIXED, { exitCode: 1 })));
  });

  test("that crashed is a failure that names the signal and the last test", () => {
    const { passed, failures } = outcomeOfBun(
      runOf("test/a.test.ts:\n(pass) one [0.10ms]\n", { exitCode: null, signal: "SIGSEGV" }),
    );
    expect(passed).toBe(1);
    expect(failures.map(({ name }) => name)).toEqual(["bun test: it crashed by SIGSEGV, after test/a.test.ts: one"]);
  });

  test("that hung is a failure that tells how long it had, and how far it came", () => {
    const end = { exitCode: null, signal: "SIGKILL", isOverLimit: true, durationMs: 180_000 };
    const { failures } = outcomeOfBun(runOf("test/a.test.ts:\n(pass) one [0.10ms]\n", end));
    expect(failures.map(({ name }) => name)).toEqual([
      "bun test: it hung, and was ended after 180 s; it came to test/a.test.ts: one",
    ]);
  });

  test.each([
    ["no summary", "test/a.test.ts:\n(pass) one\n", 0, "bun test: it printed no summary, after test/a.test.ts: one"],
    [
      "an exit code that nothing explains",
      "(pass) one\n\n 1 pass\n 0 fail\n",
      3,
      "bun test: it ended with exit code 3",
    ],
    [
      "an error outside of tests",
      "(pass) one\n\n 1 pass\n 0 fail\n 1 error\n",
      1,
      "bun test: 1 errors outside of tests",
    ],
    [
      "a summary that its lines do not tell",
      "(pass) one\n\n 2 pass\n 0 fail\n",
      0,
      "bun test: its summary tells 2 passed, 0 failed and 0 skipped, its lines 1, 0 and 0",
    ],
  ])("with %s is a failure", (_name, output, exitCode, failure) => {
    const { failures } = outcomeOfBun(runOf(output, { exitCode }));
    expect(failures.map(({ name }) => name)).toEqual([failure]);
  });

  test("leaves the summary of another bun test out, which a test has shown", () => {
    const inner = "error: the child printed\n 7 pass\n 1 fail\n(fail) outer";
    const { passed, failures } = outcomeOfBun(runOf(`a.test.ts:\n${inner}\n\n 0 pass\n 1 fail\n`, { exitCode: 1 }));
    expect(passed).toBe(0);
    expect(failures.map(({ name }) => name)).toEqual(["a.test.ts: outer"]);
  });
});

describe("the outcome of the contract suite", () => {
  const SUITE = `skipped: unix.test.a: b: this host has no ::1
failed: socket.test.closes: TestExpectedEqual
/zig/test/socket.zig:12:5: 0x1 in test
4 passed, 1 failed, 1 skipped
`;

  test("takes what is behind the last colon for the reason", () => {
    const { passed, failures, skips } = outcomeOfZig(runOf(SUITE, { exitCode: 1 }));
    expect(passed).toBe(4);
    expect(skips).toEqual([{ name: "unix.test.a: b", reason: "this host has no ::1" }]);
    expect(failures.map(({ name }) => name)).toEqual(["socket.test.closes: TestExpectedEqual"]);
    expect(failures[0]!.details).toContain("socket.zig:12");
  });

  test.each([
    ["without its last line", "skipped: a: b\n", {}, "contract suite: it ended without the line that counts its tests"],
    [
      "that does not compile",
      "error: no\n",
      { exitCode: 2 },
      "contract suite: it ended without the line that counts its tests",
    ],
    [
      "with an exit code that nothing explains",
      "1 passed, 0 failed, 0 skipped\n",
      { exitCode: 1 },
      "contract suite: it ended with exit code 1, though no test failed",
    ],
    [
      "that hung",
      "",
      { isOverLimit: true, signal: "SIGKILL", durationMs: 600_000 },
      "contract suite: it hung, and was ended after 600 s; it came to its last line",
    ],
  ])("%s is a failure", (_name, output, end, failure) => {
    expect(outcomeOfZig(runOf(output, end)).failures.map(({ name }) => name)).toEqual([failure]);
  });
});

describe("the outcome of a command", () => {
  test("is one that passed, or one that failed, with the compiler's errors", () => {
    expect(outcomeOfCommand("it does not compile", runOf(""))).toEqual({ passed: 1, failures: [], skips: [] });
    const output = "a.zig:1:1: error: first\n  ^~~\nb.zig:2:2: error: second\n";
    expect(outcomeOfCommand("it does not compile", runOf(output, { exitCode: 2 }))).toEqual({
      passed: 0,
      failures: [
        { name: "it does not compile: exit code 2", details: "a.zig:1:1: error: first\nb.zig:2:2: error: second" },
      ],
      skips: [],
    });
  });
});

test("the sum of outcomes has all of them", () => {
  const skip = { name: "a", reason: "b" };
  const failure = { name: "c", details: "" };
  expect(
    sumOf([
      { passed: 2, failures: [failure], skips: [] },
      { passed: 3, failures: [], skips: [skip] },
    ]),
  ).toEqual({ passed: 5, failures: [failure], skips: [skip] });
});
