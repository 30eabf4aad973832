/** Child processes: their streams, their end, and what is left of them. */

import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import {
  all,
  blockOn,
  CleanupTimeoutError,
  type ChildProcess,
  type Operation,
  openPipe,
  type ProcessOptions,
  scope,
  spawn,
  startProcess,
  SystemError,
  use,
  yieldNow,
} from "../../src/index.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { expectNothingLeftBehind, holdings } from "../support/descriptors.ts";
import { rejectionOf } from "../support/failure.ts";
import { errorOf, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { belongingOf, isAlive, stateOf } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_POSIX_PROGRAMS, NEEDS_REAL_TIME_SIGNALS, NEEDS_VFORK } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(NEEDS_POSIX_PROGRAMS).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  describe("the streams", () => {
    test("what goes in comes out, and the end goes through", async () => {
      const sent = patternOf(1_000_000);
      const received = await way(function* main() {
        const child = yield* startProcess(["cat"], { stdin: "pipe" });
        yield* spawn(function* feed() {
          yield* child.stdin.write(sent);
          yield* child.stdin.shutdown();
        });
        const bytes = yield* child.stdout.readToEnd();
        expect(yield* child.wait()).toEqual({ exitCode: 0, signal: null });
        return bytes;
      });
      expect(received).toEqual(sent);
    });

    test("standard error is one of its own", () =>
      way(function* main() {
        const child = yield* startShell("echo out; echo err >&2", { stderr: "pipe" });
        expect(yield* textOf(child.stdout)).toBe("out\n");
        expect(yield* textOf(child.stderr)).toBe("err\n");
      }));

    test("are blocking for the child, whatever they are here", () =>
      way(function* main() {
        const child = yield* startShell("for n in 0 1 2; do grep flags: /proc/self/fdinfo/$n; done", {
          stdin: "pipe",
          stderr: "pipe",
        });
        const flags = (yield* textOf(child.stdout)).match(/\d+/g)!.map((octal) => Number.parseInt(octal, 8));
        expect(flags).toHaveLength(3);
        for (const flag of flags) expect(flag & O_NONBLOCK).toBe(0);
      }));

    test("the child has three descriptors, and of each pipe one end is open here", () =>
      way(function* main() {
        using _other = yield* openPipe();
        const before = holdings().descriptors;
        const child = yield* startProcess(["cat"], { stdin: "pipe", stderr: "pipe" });
        yield* child.stdin.write("ready\n");
        yield* child.stdout.lines().next();
        expect(readdirSync(`/proc/${child.pid}/fd`).toSorted()).toEqual(["0", "1", "2"]);
        const pipes = holdings().descriptors.filter((line) => line.includes("pipe:") && !before.includes(line));
        expect(pipes).toHaveLength(3);
      }));

    test("of a child that was started without a pipe are refused, with what to write", () =>
      way(function* main() {
        const child = yield* startProcess(["true"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
        for (const name of ["stdin", "stdout", "stderr"] as const)
          expect(() => child[name]).toThrow(`has no ${name} here: start it with { ${name}: "pipe" }`);
      }));

    test("a descriptor of ours can be any of them, and stays open here", () =>
      way(function* main() {
        using pipe = yield* openPipe();
        const child = yield* startShell("echo to the pipe", { stdout: pipe.writer.descriptor });
        yield* child.wait();
        expect((yield* pipe.reader.lines().next()).value).toBe("to the pipe");
        expect(pipe.writer.isClosed).toBe(false);
      }));

    test("writing to a child that reads no more fails with EPIPE", () =>
      way(function* main() {
        const child = yield* startShell("exec <&-; echo closed; kill -STOP $$", {
          stdin: "pipe",
        });
        yield* child.stdout.lines().next();
        const error = yield* errorOf(child.stdin.write("x"));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "EPIPE", syscall: "write" });
      }));

    test("writing to a child that is dead fails with EPIPE", () =>
      way(function* main() {
        const child = yield* startProcess(["true"], { stdin: "pipe" });
        yield* child.wait();
        expect(yield* errorOf(child.stdin.write("x"))).toMatchObject({ code: "EPIPE" });
      }));

    test("a child may close its output early and go on", () =>
      way(function* main() {
        const child = yield* startShell("echo last; exec >&-; read -r code; exit $code", { stdin: "pipe" });
        expect(yield* textOf(child.stdout)).toBe("last\n");
        expect(child.status).toBeNull();
        yield* child.stdin.write("5\n");
        expect(yield* child.wait()).toEqual({ exitCode: 5, signal: null });
      }));

    test("a child whose output is closed here ends by SIGPIPE, as in a shell", () =>
      way(function* main() {
        const child = yield* startProcess(["yes"]);
        yield* child.stdout.lines().next();
        child.stdout.close();
        expect(yield* child.wait()).toEqual({ exitCode: null, signal: "SIGPIPE" });
      }));

    test("what a child has written can be read after its end", () =>
      way(function* main() {
        const child = yield* startShell("echo farewell");
        yield* child.wait();
        expect(yield* textOf(child.stdout)).toBe("farewell\n");
      }));
  });

  describe("the start", () => {
    test("takes the folder and the environment", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const child = yield* startShell("pwd; echo $COLOUR", { cwd: folder.name, env: { COLOUR: "red" } });
        expect(yield* textOf(child.stdout)).toBe(`${folder.name}\nred\n`);
      }));

    testUnless(NEEDS_VFORK)("has made the child the leader of a group and a session, which signals reach", () =>
      way(function* main() {
        const child = yield* startProcess(["cat"], { stdin: "pipe", graceMs: NEVER_MS });
        expect(belongingOf(child.pid)).toEqual({ group: child.pid, session: child.pid });
        expect(yield* child.stop()).toEqual({ exitCode: null, signal: "SIGTERM" });
      }),
    );

    testUnless(NEEDS_VFORK).each<[string, () => readonly [readonly string[], ProcessOptions?], object, string]>([
      [
        "a program that PATH has not",
        () => [["no-such-program-here"]],
        { code: "ENOENT", syscall: "spawn", path: "no-such-program-here" },
        "spawn ENOENT no-such-program-here: no such program in PATH",
      ],
      [
        "a path at which there is nothing",
        () => [["/no/such/program"]],
        { code: "ENOENT", path: "/no/such/program" },
        "no such program, or its first line names one that is not there",
      ],
      [
        "a file that may not be run",
        () => [["/etc/passwd"]],
        { code: "EACCES", path: "/etc/passwd" },
        "it is no program, or you may not run it",
      ],
      [
        "a folder that is not there",
        () => [["true"], { cwd: "/no/such/folder" }],
        { code: "ENOENT", path: "/no/such/folder" },
        "the folder to start it in is not there",
      ],
      [
        "a folder that is a file",
        () => [["true"], { cwd: "/etc/passwd" }],
        { code: "ENOTDIR", path: "/etc/passwd" },
        "what to start it in is no folder",
      ],
      ["a descriptor that is closed", () => [["true"], { stdin: 1_000_000 }], { code: "EBADF", path: "true" }, "EBADF"],
      [
        "too many arguments",
        () => [["true", "x".repeat(4_000_000)]],
        { code: "E2BIG", path: "true" },
        "argument list too long",
      ],
    ])("fails for %s", async (_case, order, facts, words) => {
      await way(function* main() {
        const [command, options] = order();
        const error = yield* errorOf(startProcess(command, { stdin: "pipe", stderr: "pipe", ...options }));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject(facts);
        expect(error.message).toContain(words);
      });
    });

    test.each<[readonly unknown[], ErrorConstructor | RangeErrorConstructor, string]>([
      [["ls -l"], TypeError, "command must be a list"],
      [[[]], TypeError, "command must be a list"],
      [[[""]], TypeError, "the program's name is empty"],
      [[["ls", 7]], TypeError, "each part of command must be a string"],
      [[["ls", "a\0b"]], TypeError, "each part of command must be a string without a zero byte"],
      [[["ls"], { cwd: 7 }], TypeError, "cwd must be a string"],
      [
        [["ls"], { stdin: "pip" }],
        TypeError,
        'stdin must be "pipe", "inherit", "ignore" or a descriptor, but is "pip"',
      ],
      [[["ls"], { stdout: -1 }], RangeError, "stdout must be an integer from 0"],
      [[["ls"], { graceMs: -1 }], RangeError, "graceMs must be a number of milliseconds"],
    ])("refuses %j", async (args, errorClass, words) => {
      await way(function* main() {
        const error = yield* errorOf(startProcess(...(args as Parameters<typeof startProcess>)));
        expect(error).toBeInstanceOf(errorClass);
        expect(error.message).toContain(words);
      });
    });
  });

  describe("the end", () => {
    testUnless(NEEDS_REAL_TIME_SIGNALS)("is told with the exit code, or with the signal", () =>
      way(function* main() {
        const byItself = yield* startShell("exit 42");
        const byName = yield* startShell("kill -KILL $$");
        const byOneOfTwoNames = yield* startShell("ulimit -c 0; kill -ABRT $$");
        const byAnotherOfTwo = yield* startShell("kill -29 $$");
        const byNumber = yield* startShell(`kill -${REAL_TIME_SIGNAL} $$`);
        expect(yield* byItself.wait()).toEqual({ exitCode: 42, signal: null });
        expect(yield* byName.wait()).toEqual({ exitCode: null, signal: "SIGKILL" });
        expect(yield* byOneOfTwoNames.wait()).toEqual({ exitCode: null, signal: "SIGABRT" });
        expect(yield* byAnotherOfTwo.wait()).toEqual({ exitCode: null, signal: "SIGIO" });
        expect(yield* byNumber.wait()).toEqual({ exitCode: null, signal: REAL_TIME_SIGNAL });
      }),
    );

    test("is told to all that wait, and again later", () =>
      way(function* main() {
        const child = yield* startShell("read -r _; exit 3", { stdin: "pipe" });
        const waits = Array.from({ length: 3 }, () => () => child.wait());
        const [statuses] = yield* all([
          () => all(waits),
          function* letGo() {
            yield* yieldNow();
            yield* child.stdin.write("go\n");
          },
        ]);
        for (const status of statuses) expect(status).toEqual({ exitCode: 3, signal: null });
        expect(yield* child.wait()).toEqual({ exitCode: 3, signal: null });
        expect(child.status).toEqual({ exitCode: 3, signal: null });
      }));

    test("of many children is told to each", () =>
      way(function* main() {
        const children: ChildProcess[] = [];
        for (let code = 0; code < 40; code++) children.push(yield* startShell(`exit ${code}`));
        const statuses = yield* all(children.map((child) => () => child.wait()));
        expect(statuses.map(({ exitCode }) => exitCode)).toEqual(children.map((_, code) => code));
      }));

    test("a scope ends its children before it ends", () =>
      way(function* main() {
        const child = yield* scope(function* inner() {
          const started = yield* startShell(SLEEPER);
          yield* started.stdout.lines().next();
          return started;
        });
        expect(child.status).toEqual({ exitCode: null, signal: "SIGTERM" });
        expect(isAlive(child.pid)).toBe(false);
        expect(child.stdout.isClosed).toBe(true);
      }));

    test("a scope that fails ends them too", async () => {
      let child!: ChildProcess;
      const error = await rejectionOf(
        way(function* main() {
          child = yield* startProcess(["sleep", "1000"]);
          throw new Error("the scope's own");
        }),
      );
      expect(error.message).toBe("the scope's own");
      expect(isAlive(child.pid)).toBe(false);
    });

    test("a child that heeds SIGTERM has its time to put things in order", () =>
      way(function* main() {
        const child = yield* startShell("trap 'exit 7' TERM; echo ready; read -r _", {
          stdin: "pipe",
          graceMs: NEVER_MS,
        });
        yield* child.stdout.lines().next();
        expect(yield* child.stop()).toEqual({ exitCode: 7, signal: null });
      }));

    test("a child that ignores SIGTERM is killed after its grace", () =>
      way(function* main() {
        const child = yield* startShell(`trap '' TERM; echo ready; ${WAIT_FOR_EVER}`, { graceMs: 5 });
        yield* child.stdout.lines().next();
        expect(yield* child.stop()).toEqual({ exitCode: null, signal: "SIGKILL" });
        expect(isAlive(child.pid)).toBe(false);
      }));

    test("a child that is stopped is ended as well", () =>
      way(function* main() {
        const child = yield* startShell("kill -STOP $$", { graceMs: NEVER_MS });
        while (stateOf(child.pid) !== "T") yield* yieldNow();
        expect(yield* child.stop()).toEqual({ exitCode: null, signal: "SIGTERM" });
      }));

    test("clean-up that has less time than the grace kills at once, and says so", async () => {
      let child!: ChildProcess;
      const error = await rejectionOf(
        way(() =>
          scope(
            function* inner() {
              child = yield* startShell(`trap '' TERM; echo ready; ${WAIT_FOR_EVER}`, { graceMs: NEVER_MS });
              yield* child.stdout.lines().next();
            },
            { cleanupMs: 5 },
          ),
        ),
        CleanupTimeoutError,
      );
      expect(error.message).toContain(`child sh (process ${child.pid})`);
      expect(child.status).toEqual({ exitCode: null, signal: "SIGKILL" });
    });

    test("`using` and `use` end the child too", () =>
      way(function* main() {
        const used = yield* use(startShell(SLEEPER), function* body(child) {
          yield* child.stdout.lines().next();
          expect(isAlive(child.pid)).toBe(true);
          return child;
        });
        expect(used.status).toEqual({ exitCode: null, signal: "SIGTERM" });
        let held: ChildProcess;
        {
          using child = yield* startShell(SLEEPER);
          yield* child.stdout.lines().next();
          held = child;
        }
        expect(yield* held.wait()).toEqual({ exitCode: null, signal: "SIGTERM" });
      }));

    test("`kill` reaches the child, and nobody once it has ended", () =>
      way(function* main() {
        const child = yield* startShell("trap 'exit 9' USR1; echo ready; read -r _", { stdin: "pipe" });
        yield* child.stdout.lines().next();
        expect(child.kill("SIGUSR1")).toBe(true);
        expect(yield* child.wait()).toEqual({ exitCode: 9, signal: null });
        yield* child.stop();
        expect(child.kill()).toBe(false);
        expect(() => child.kill("SIGNONE" as NodeJS.Signals)).toThrow('"SIGNONE" is no signal of this system');
        expect(() => child.kill(65)).toThrow(RangeError);
      }));

    test("a keeper that has nothing left to keep goes", () =>
      way(function* main() {
        const child = yield* startShell("echo done", { stdin: "pipe" });
        yield* child.stdout.readToEnd();
        yield* child.wait();
        expect(child.keeper.hasEnded).toBe(false);
        child.stdin.close();
        child.stdout.close();
        for (let turn = 0; turn < 3; turn++) yield* yieldNow();
        expect(child.keeper.hasEnded).toBe(true);
      }));
  });

  describe("the group", () => {
    test("what a shell has started is ended with it", () =>
      way(function* main() {
        const [child, grandchild] = yield* scope(function* inner() {
          const shell = yield* startShell("sleep 1000 & echo $!; wait");
          return [shell, yield* numberFrom(shell)] as const;
        });
        expect([isAlive(child.pid), isAlive(grandchild)]).toEqual([false, false]);
      }));

    test("a grandchild that ignores SIGTERM is killed, though its parent heeded it", () =>
      way(function* main() {
        const [child, grandchild] = yield* scope(function* inner() {
          const shell = yield* startShell(`sh -c "trap '' TERM; echo \\$\\$; ${WAIT_FOR_EVER}" & wait`, { graceMs: 5 });
          return [shell, yield* numberFrom(shell)] as const;
        });
        expect(child.status).toEqual({ exitCode: null, signal: "SIGTERM" });
        expect(isAlive(grandchild)).toBe(false);
      }));

    test("a grandchild has the grace of its parent, though that is gone", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const file = joinPath(folder.name, "order");
        yield* scope(function* inner() {
          const script = `trap 'echo put in order > ${file}; exit' TERM; echo \\$\\$; read -r _`;
          const shell = yield* startShell(`exec 3<&0; sh -c "${script}" <&3 & wait`, {
            stdin: "pipe",
            graceMs: NEVER_MS,
          });
          yield* numberFrom(shell);
        });
        expect(readFileSync(file, "utf8")).toBe("put in order\n");
      }));

    test("what a child that has ended left running is ended with the scope", () =>
      way(function* main() {
        const grandchild = yield* scope(function* inner() {
          const shell = yield* startShell("sleep 1000 & echo $!");
          const left = yield* numberFrom(shell);
          expect(yield* shell.wait()).toEqual({ exitCode: 0, signal: null });
          expect(isAlive(left)).toBe(true);
          return left;
        });
        expect(isAlive(grandchild)).toBe(false);
      }));

    test("what has left the group is not reached", () =>
      way(function* main() {
        const daemon = yield* scope(function* inner() {
          const shell = yield* startShell("setsid sleep 1000 & echo $!; wait");
          const left = yield* numberFrom(shell);
          while (belongingOf(left).group !== left) yield* yieldNow();
          return left;
        });
        expect(isAlive(daemon)).toBe(true);
        process.kill(daemon, "SIGKILL");
      }));
  });
});

describeUnless(NEEDS_POSIX_PROGRAMS)("zombies", () => {
  test("there is none after a wait in run", async () => {
    const [, run] = WAYS[0]!;
    const pid = await run(function* main() {
      const child = yield* startProcess(["true"]);
      yield* child.wait();
      expect(stateOf(child.pid)).toBeNull();
      return child.pid;
    });
    expect(stateOf(pid)).toBeNull();
  });

  test("after blockOn they are gone with the next turns of the host's loop", async () => {
    const pids = blockOn(function* main() {
      const child = yield* startProcess(["true"]);
      yield* child.wait();
      expect(stateOf(child.pid)).toBe("Z");
      const killed = yield* startProcess(["sleep", "1000"]);
      return [child.pid, killed.pid];
    });
    for (const pid of pids) while (stateOf(pid) !== null) await hostTurn();
  });
});

describeUnless(NEEDS_POSIX_PROGRAMS)("a child is cancelled at every suspend point", () => {
  expectNothingLeftBehind();

  test("while it is read, written and waited for", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        const child = yield* startProcess(["cat"], { stdin: "pipe", stderr: "pipe" });
        yield* child.stdin.write("hello\n");
        yield* child.stdout.lines().next();
        yield* child.stdin.shutdown();
        yield* child.stdout.readToEnd();
        yield* child.wait();
      },
      { leastPoints: 4 },
    ));

  test("while it is stopped, grandchildren included", async () => {
    const started: number[] = [];
    await expectNothingLeftWhenCancelled(
      function* job() {
        const child = yield* startShell("sleep 1000 & echo $!; wait");
        started.push(child.pid);
        const grandchild = yield* numberFrom(child);
        started.push(grandchild);
        yield* child.stop();
      },
      { leastPoints: 3 },
    );
    expect(started.filter(isAlive)).toEqual([]);
  });
});

function startShell(script: string, options: ProcessOptions = {}): Operation<ChildProcess> {
  return startProcess(["sh", "-c", script], options);
}

function* textOf(stream: ChildProcess["stdout"]): Operation<string> {
  return new TextDecoder().decode(yield* stream.readToEnd());
}

/** The number in the next line. */
function* numberFrom(child: ChildProcess): Operation<number> {
  return Number((yield* child.stdout.lines().next()).value);
}

/** Says that it has been started, and does nothing until it is ended. */
const SLEEPER = "echo ready; exec sleep 1000";

/** Goes on though the group is sent SIGTERM, and does nothing. */
const WAIT_FOR_EVER = "while :; do sleep 1000; done";

/** A test that waits for that long has failed. */
const NEVER_MS = 1_000_000;

/** One that no C library keeps for itself: glibc takes 32 and 33, musl 34 as well. */
const REAL_TIME_SIGNAL = 40;

/** Of open(2), on x86-64 and arm64. */
const O_NONBLOCK = 0o4000;
