/**
 * Child processes whose programs are everywhere: Bun scripts. What they promise on each platform; what only processes of
 * POSIX have is in process.test.ts.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  type ByteReader,
  cancel,
  type ChildProcess,
  join,
  listen,
  type Operation,
  type ProcessOptions,
  run,
  runProcess,
  scope,
  spawn,
  startProcess,
  SystemError,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { withoutNoise } from "../support/noise.ts";
import { patient } from "../support/patience.ts";
import { temporaryPath } from "../support/temporary.ts";
import { NEEDS_VFORK } from "../support/needs.ts";
import { gap, testUnless } from "../support/platform.ts";

const IS_WINDOWS = process.platform === "win32";

/** Starts a script. */
function start(source: string, options?: ProcessOptions): Operation<ChildProcess> {
  return startProcess([process.execPath, "--eval", source], options);
}

function* textOf(reader: ByteReader): Operation<string> {
  return new TextDecoder().decode(yield* reader.readToEnd());
}

/** Writes what it reads. */
const COPY = "process.stdin.pipe(process.stdout)";

/** Says that it is up, and stays. */
const STAY = 'console.log("up"); setInterval(() => {}, 60_000)';

/** Starts another that connects to a port and stays, and stays itself. */
const stayWithAnother = (port: number): string => {
  const other = `import("node:net").then(({ connect }) => connect(${port}, "127.0.0.1").write("x"))`;
  return `Bun.spawn([process.execPath, "--eval", ${JSON.stringify(other)}], { stdio: ["ignore", "ignore", "ignore"] }); ${STAY}`;
};

beforeAll(openReactor);

describe("the pipes of a child", () => {
  expectNothingLeftBehind();

  test("bring what goes in out again, and the end goes through", () =>
    run(function* main() {
      const sent = patternOf(1_000_000);
      const child = yield* start(COPY, { stdin: "pipe" });
      yield* spawn(function* feed() {
        yield* child.stdin.write(sent);
        yield* child.stdin.shutdown();
      });
      expect(Buffer.compare(yield* child.stdout.readToEnd(), sent)).toBe(0);
      expect(yield* child.wait()).toEqual({ exitCode: 0, signal: null });
    }));

  test("are taken apart like any stream, while the child waits for an answer", () =>
    run(function* main() {
      const child = yield* start(COPY, { stdin: "pipe" });
      for (const word of ["one", "two", "three"]) {
        yield* child.stdin.writeAll([word, "\n"]);
        expect(new TextDecoder().decode((yield* child.stdout.readUntil("\n"))!)).toBe(word);
      }
      yield* child.stop();
    }));

  testUnless(gap({ win32: "Bun 1.4.5 does not tell on win32 when a pipe has taken what was written" }))(
    "make a writer wait whose child does not read, and end its wait with the child",
    () =>
      run(function* main() {
        const child = yield* start(STAY, { stdin: "pipe" });
        expect(yield* child.stdout.readUntil("\n")).not.toBeNull();
        const writing = yield* spawn(() => errorOf(child.stdin.write(new Uint8Array(8_000_000))));
        yield* yieldNow();
        expect(writing.state).toBe("suspended");
        yield* child.stop();
        expect(yield* join(writing)).toBeInstanceOf(Error);
      }),
  );

  test("are two for what a program prints and what it complains of", () =>
    run(function* main() {
      const child = yield* start('console.log("out"); console.error("err")', { stderr: "pipe" });
      const complaints = yield* spawn(() => textOf(child.stderr));
      expect((yield* textOf(child.stdout)).trim()).toBe("out");
      expect(withoutNoise(yield* join(complaints)).trim()).toBe("err");
      yield* child.wait();
    }));

  test("are found at their end by whoever reads on, and closed with the child", () =>
    run(function* main() {
      const child = yield* start('console.log("x")');
      yield* textOf(child.stdout);
      expect(yield* child.stdout.read(new Uint8Array(1))).toBe(0);
      yield* child.stop();
      expect(child.stdout.isClosed).toBe(true);
    }));

  test("have names for messages, and a number where they are descriptors", () =>
    run(function* main() {
      const child = yield* start(COPY, { stdin: "pipe" });
      expect(child.stdin.label).toContain(`stdin of child ${process.execPath} (process ${child.pid})`);
      expect(child.stdin.label).toContain("the writing end");
      expect(child.stdout.descriptor >= 0).toBe(!IS_WINDOWS);
      expect((yield* errorOf((child.stdout as never as ChildProcess["stdin"]).write("x"))).message).toContain(
        "cannot be written to",
      );
    }));

  test("are not there for streams that were not asked for", () =>
    run(function* main() {
      const child = yield* start("", { stdout: "ignore" });
      expect(() => child.stdin).toThrow(TypeError);
      expect(() => child.stdout).toThrow(TypeError);
      expect(yield* child.wait()).toEqual({ exitCode: 0, signal: null });
    }));
});

describe("the end of a child", () => {
  expectNothingLeftBehind();

  test("is told with its exit code, also to those who ask later", () =>
    run(function* main() {
      const child = yield* start("process.exit(7)");
      expect(yield* child.wait()).toEqual({ exitCode: 7, signal: null });
      expect(child.status).toEqual({ exitCode: 7, signal: null });
      expect(yield* child.wait()).toEqual({ exitCode: 7, signal: null });
    }));

  test("by a signal is told with its name", () =>
    run(function* main() {
      const child = yield* start(STAY);
      yield* child.stdout.readUntil("\n");
      expect(child.kill("SIGKILL")).toBe(true);
      expect(yield* child.wait()).toEqual({ exitCode: null, signal: "SIGKILL" });
    }));

  test("comes with the end of its scope", () =>
    run(function* main() {
      const child = yield* scope(function* inner() {
        const started = yield* start(STAY);
        yield* started.stdout.readUntil("\n");
        return started;
      });
      expect(child.status).toEqual({ exitCode: null, signal: "SIGTERM" });
    }));

  test("is that of what it has started as well, whether it is stopped or has ended before", () =>
    run(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      for (const last of ["", "; process.stdin.on('data', () => process.exit(0))"]) {
        const child = yield* start(stayWithAnother(listener.address.port) + last, { stdin: "pipe" });
        using others = yield* listener.accept();
        yield* others.readExactly(new Uint8Array(1));
        if (last !== "") {
          yield* child.stdin.write("x");
          expect(yield* child.wait()).toEqual({ exitCode: 0, signal: null });
        }
        yield* child.stop();
        // A process that was ended has closed its connection, or broken it off.
        const rest = yield* errorOf(
          (function* () {
            expect(yield* others.read(new Uint8Array(1))).toBe(0);
            throw new Error("the end");
          })(),
        );
        expect(["the end", "ECONNRESET"]).toContain(rest instanceof SystemError ? rest.code : rest.message);
      }
    }));

  test("leaves nobody to be sent a signal", () =>
    run(function* main() {
      const child = yield* start("");
      yield* child.stop();
      expect(child.kill()).toBe(false);
    }));
});

describe("what cannot be started", () => {
  expectNothingLeftBehind();

  testUnless(NEEDS_VFORK)("is a program that is not there", () =>
    run(function* main() {
      using path = temporaryPath("no-program");
      const options = { stdin: "pipe", stderr: "pipe" } as const;
      expect(yield* errorOf(startProcess([path.name], options))).toMatchObject({ code: "ENOENT", path: path.name });
      expect((yield* errorOf(startProcess(["no-such-program-anywhere"]))).message).toContain("no such program in PATH");
    }),
  );

  test("is a program in a folder that is not there", () =>
    run(function* main() {
      using path = temporaryPath("no-folder");
      const error = yield* errorOf(start("", { cwd: path.name }));
      expect(error).toMatchObject({ code: "ENOENT", path: path.name });
      expect(error.message).toContain("the folder to start it in is not there");
    }));

  test("sends no signal that is none", () =>
    run(function* main() {
      const child = yield* start(STAY);
      expect(() => child.kill("SIGNONE" as NodeJS.Signals)).toThrow("is no signal of this system");
      yield* child.stop();
    }));
});

describe("runProcess", () => {
  expectNothingLeftBehind();

  test("feeds a program, and takes what it writes, and how it ends", () =>
    run(function* main() {
      const source =
        "process.stdin.on('data', (data) => process.stdout.write(data)).on('end', () => process.exitCode = 3)";
      const input = patternOf(200_000);
      const result = yield* runProcess([process.execPath, "--eval", source], { input });
      expect(Buffer.compare(result.stdout, input)).toBe(0);
      expect(result).toMatchObject({ exitCode: 3, signal: null });
      expect(withoutNoise(new TextDecoder().decode(result.stderr))).toBe("");
    }));

  test("ends a program that writes more than is allowed", () =>
    run(function* main() {
      const source = 'const write = () => process.stdout.write("x".repeat(10_000), write); write()';
      const error = yield* errorOf(runProcess([process.execPath, "--eval", source], { limitBytes: 50_000 }));
      expect(error.message).toContain("within 50000 bytes");
    }));

  test("does not mind a program that does not read its input", () =>
    run(function* main() {
      const result = yield* runProcess([process.execPath, "--eval", "process.exit(0)"], {
        input: new Uint8Array(1_000_000),
      });
      expect(result.exitCode).toBe(0);
    }));
});

describe("a child is cancelled at every suspend point", () => {
  expectNothingLeftBehind();

  const job = (): Promise<void> =>
    expectNothingLeftWhenCancelled(
      function* job() {
        const child = yield* start(COPY, { stdin: "pipe" });
        yield* child.stdin.write("x");
        yield* child.stdout.readExactly(new Uint8Array(1));
        yield* child.stdin.shutdown();
        yield* child.wait();
      },
      { leastPoints: 2 },
    );

  test("and nothing is left of it", job, patient(60_000));
});

test("a start that is cancelled while it opens pipes starts nothing", () =>
  run(function* main() {
    const starting = yield* spawn(() => start(STAY, { stdin: "pipe" }));
    yield* cancel(starting);
    expect(starting.state).toBe("cancelled");
  }));
