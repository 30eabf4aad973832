import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { firstLineOf, runToEnd } from "../../scripts/platforms/run.ts";
import { Slots } from "../../scripts/platforms/slots.ts";
import { NEEDS_SHELL } from "../support/needs.ts";
import { describeUnless } from "../support/platform.ts";

describeUnless(NEEDS_SHELL)("a run", () => {
  test("has what was printed to both outputs, and the exit code", async () => {
    const program = 'console.log("out"); console.error("err"); process.exit(3)';
    const run = await runToEnd([process.execPath, "--eval", program], { folder: tmpdir(), limitMs: 60_000 });
    expect(run).toMatchObject({ exitCode: 3, signal: null, isOverLimit: false });
    expect(run.output.split("\n").sort()).toEqual(["", "err", "out"]);
  });

  test("that a signal ends tells which", async () => {
    const run = await runToEnd(["sh", "-c", "kill -SEGV $$"], { folder: tmpdir(), limitMs: 60_000 });
    expect(run).toMatchObject({ exitCode: null, signal: "SIGSEGV", isOverLimit: false });
  });

  test("gets no terminal for its own that it opens", async () => {
    // The sixth field of proc(5) is the session, which the program must not lead, and the seventh its terminal.
    const run = await runToEnd(["sh", "-c", 'read -r line < /proc/$$/stat; echo "$$ $line"'], {
      folder: tmpdir(),
      limitMs: 60_000,
    });
    const [own, , , , , group, session] = run.output.replace(/\(.*\)/, "-").split(" ");
    expect(session).not.toBe(own);
    expect(session).toBe(group);
  });

  test("gets the variables that it is given, and those of this process", async () => {
    const program = "console.log(process.env.OF_THE_TEST, process.env.PATH !== undefined)";
    const options = { folder: tmpdir(), limitMs: 60_000, environment: { OF_THE_TEST: "here" } };
    expect((await runToEnd([process.execPath, "--eval", program], options)).output).toBe("here true\n");
  });

  test("that comes to no end is ended at its limit, and what it printed is kept", async () => {
    const program = ["sh", "-c", "echo so far; exec sleep 1000"];
    const run = await runToEnd(program, { folder: tmpdir(), limitMs: 2_000 });
    expect(run).toMatchObject({ output: "so far\n", signal: "SIGKILL", isOverLimit: true });
  });
});

describe("the first line of a program", () => {
  test("is what it prints first; one that is not there or fails has none", () => {
    expect(firstLineOf([process.execPath, "--eval", 'console.log("one\\ntwo")'])).toBe("one");
    expect(firstLineOf(["there-is-no-such-program"])).toBeNull();
    expect(firstLineOf([process.execPath, "--eval", "process.exit(1)"])).toBeNull();
  });
});

describe("slots", () => {
  test("let so many work at the same time, and the others in their order", async () => {
    const slots = new Slots(2);
    const log: string[] = [];
    const ends = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
    const works = ends.map(({ promise }, index) =>
      slots.run(async () => {
        log.push(`begins ${index}`);
        await promise;
        return index;
      }),
    );
    await Promise.resolve();
    expect(log).toEqual(["begins 0", "begins 1"]);
    ends[1]!.resolve();
    expect(await works[1]!).toBe(1);
    for (const { resolve } of ends) resolve();
    expect(await Promise.all(works)).toEqual([0, 1, 2, 3]);
    expect(log).toEqual(["begins 0", "begins 1", "begins 2", "begins 3"]);
  });

  test("are free again after work that failed", async () => {
    const slots = new Slots(1);
    const failing = slots.run(() => Promise.reject(new Error("no")));
    const next = slots.run(() => Promise.resolve("yes"));
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("yes");
  });
});
