/** Programs that are run to their end, with what they write. */

import { beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  cancel,
  LimitError,
  type Operation,
  type ProcessResult,
  runProcess,
  type RunProcessOptions,
  spawn,
  timeout,
  TimeoutError,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf } from "../support/failure.ts";
import { errorOf, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { isAlive } from "../support/processes.ts";
import { temporaryPath } from "../support/temporary.ts";
import { describeUnless } from "../support/platform.ts";
import { NEEDS_POSIX_PROGRAMS } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(NEEDS_POSIX_PROGRAMS).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  test("both outputs and the exit code come back", async () => {
    const result = await way(() => runShell("echo out; echo err >&2; exit 3"));
    expect(result).toEqual({ exitCode: 3, signal: null, stdout: bytesOf("out\n"), stderr: bytesOf("err\n") });
  });

  test("the signal that ended it comes back", async () => {
    expect(await way(() => runShell("kill -TERM $$"))).toMatchObject({ exitCode: null, signal: "SIGTERM" });
  });

  test("input goes in, more than a pipe holds, while output comes", async () => {
    const input = patternOf(900_000);
    const { stdout, exitCode } = await way(() => runProcess(["cat"], { input }));
    expect(exitCode).toBe(0);
    expect(stdout).toEqual(input);
  });

  test("a string goes in as UTF-8, and without input there is nothing to read", async () => {
    expect((await way(() => runProcess(["cat"], { input: "☃" }))).stdout).toEqual(bytesOf("☃"));
    expect((await way(() => runProcess(["cat"]))).stdout).toEqual(bytesOf(""));
  });

  test("a program need not read its input", async () => {
    const input = new Uint8Array(1_000_000);
    expect(await way(() => runProcess(["true"], { input }))).toMatchObject({ exitCode: 0 });
  });

  test("nor need what it leaves behind, which has the input open", async () => {
    const input = new Uint8Array(1_000_000);
    const script = "exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & echo $!";
    const { stdout, exitCode } = await way(() => runShell(script, { input }));
    expect(exitCode).toBe(0);
    expect(isAlive(Number(new TextDecoder().decode(stdout)))).toBe(false);
  });

  test.each([
    ["stdout", "yes"],
    ["stderr", "yes >&2"],
  ])("more than the limit of %s ends it with an error", async (_stream, script) => {
    const error = await rejectionOf(
      way(() => runShell(script, { limitBytes: 1000 })),
      LimitError,
    );
    expect(error.limitBytes).toBe(1000);
    expect(error.message).toContain("child sh");
  });

  test("exactly the limit is no error", async () => {
    const { stdout } = await way(() => runShell("printf 12345", { limitBytes: 5 }));
    expect(stdout).toEqual(bytesOf("12345"));
  });

  test("a limit of time ends it and what it has started", async () => {
    using path = temporaryPath("pids");
    const script = `trap '' TERM; sleep 1000 & echo $$ $! > ${path.name}; wait`;
    await rejectionOf(
      way(() =>
        timeout(1_000_000, function* limited(limit) {
          yield* spawn(
            function* expireOnceStarted() {
              while (!readUnlessMissing(path.name).endsWith("\n")) yield* yieldNow();
              limit.expireAfter(0);
            },
            { daemon: true },
          );
          yield* runShell(script, { graceMs: 0 });
        }),
      ),
      TimeoutError,
    );
    const pids = readUnlessMissing(path.name).split(" ").map(Number);
    expect(pids).toHaveLength(2);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test("a cancel ends it, and the canceller waits for that", () =>
    way(function* main() {
      using path = temporaryPath("pids");
      const running = yield* spawn(() => runShell(`sleep 1000 & echo $$ $! > ${path.name}; wait`));
      while (!readUnlessMissing(path.name).endsWith("\n")) yield* yieldNow();
      yield* cancel(running);
      expect(running.state).toBe("cancelled");
      expect(readUnlessMissing(path.name).split(" ").map(Number).filter(isAlive)).toEqual([]);
    }));

  test("what cannot be started is an error", () =>
    way(function* main() {
      expect(yield* errorOf(runProcess(["no-such-program-here"], { input: "x" }))).toMatchObject({
        code: "ENOENT",
        path: "no-such-program-here",
      });
      expect(yield* errorOf(runProcess(["true"], { limitBytes: -1 }))).toBeInstanceOf(RangeError);
      const tooMuch = yield* errorOf(runProcess(["true"], { limitBytes: 2 ** 31 }));
      expect(tooMuch.message).toStartWith("runProcess: limitBytes must be");
      expect(yield* errorOf(runProcess(["true"], { input: 7 as unknown as string }))).toBeInstanceOf(TypeError);
    }));
});

describeUnless(NEEDS_POSIX_PROGRAMS)("cancelled at every suspend point", () => {
  expectNothingLeftBehind();

  test("nothing is left", () =>
    expectNothingLeftWhenCancelled(() => runProcess(["cat"], { input: patternOf(200_000) }), { leastPoints: 5 }));
});

function runShell(script: string, options: RunProcessOptions = {}): Operation<ProcessResult> {
  return runProcess(["sh", "-c", script], options);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function readUnlessMissing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
