/** Pseudo-terminals: both ends in this process, and with children at the other end. */

import { beforeAll, expect, test } from "bun:test";
import {
  cancel,
  ClosedError,
  isTerminal,
  join,
  openPty,
  openPipe,
  type Pty,
  type Operation,
  promise,
  rawMode,
  readable,
  run,
  spawn,
  SystemError,
  type Terminal,
  UnsupportedError,
  windowSize,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { TestReactor } from "../support/reactors.ts";
import { settingsOf } from "../support/terminals.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(needs("terminals")).each(WAYS)("a pseudo-terminal in %s", (_name, way) => {
  expectNothingLeftBehind();

  test("echoes what is typed, and gives it to the program line by line", () =>
    way(function* main() {
      using pty = yield* openPty();
      using terminal = yield* pty.openTerminal();
      yield* pty.controller.write("hellp\x7fo\n");
      expect(yield* readText(terminal, 6)).toBe("hello\n");
      expect(yield* pty.controller.readUntil("\n")).toEqual(Buffer.from("hellp\b \bo\r"));
    }));

  test("passes bytes as they are if it is raw", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      using terminal = yield* pty.openTerminal();
      yield* pty.controller.write("\x03\x04\r\n");
      expect(yield* readText(terminal, 4)).toBe("\x03\x04\r\n");
      yield* terminal.write("\n");
      expect(yield* readText(pty.controller, 1)).toBe("\n");
    }));

  test("is read whole although each read ends with a line", () =>
    way(function* main() {
      using pty = yield* openPty();
      using terminal = yield* pty.openTerminal();
      yield* pty.controller.write("one\ntwo\nthree\n");
      // There is one change of readiness for all three.
      for (const line of ["one\n", "two\n", "three\n"]) {
        const buffer = new Uint8Array(100);
        const bytes = yield* terminal.read(buffer);
        expect(String(Buffer.from(buffer.subarray(0, bytes)))).toBe(line);
      }
    }));

  test("finds the end at Ctrl-D, and goes on after it", () =>
    way(function* main() {
      using pty = yield* openPty();
      using terminal = yield* pty.openTerminal();
      yield* pty.controller.write("\x04");
      expect(yield* terminal.read(new Uint8Array(8))).toBe(0);
      const reading = yield* spawn(() => readText(terminal, 5));
      yield* yieldNow();
      yield* pty.controller.write("more\n");
      expect(yield* join(reading)).toBe("more\n");
    }));

  test("has a size, 80 by 24 unless it is said, that both ends see", () =>
    way(function* main() {
      using pty = yield* openPty();
      using terminal = yield* pty.openTerminal();
      const unknown = { widthPixels: 0, heightPixels: 0 };
      expect(terminal.windowSize).toEqual({ columns: 80, rows: 24, ...unknown });
      const size = { columns: 120, rows: 40, widthPixels: 960, heightPixels: 800 };
      pty.controller.setWindowSize(size);
      expect(terminal.windowSize).toEqual(size);
      expect(yield* windowSize(terminal.descriptor)).toEqual(size);
      terminal.setWindowSize({ columns: 1, rows: 65_535 });
      expect(pty.controller.windowSize).toEqual({ columns: 1, rows: 65_535, ...unknown });
    }));

  test("waits for its first opening, is at its end when all have closed it, and goes on with the next", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      const { controller } = pty;
      const reading = yield* spawn(() => readText(controller, 5));
      yield* yieldNow();
      const first = yield* pty.openTerminal();
      const second = yield* pty.openTerminal();
      yield* first.write("first");
      expect(yield* join(reading)).toBe("first");
      first.close();
      yield* second.write("last words");
      second.close();
      expect(String(Buffer.from(yield* controller.readToEnd()))).toBe("last words");
      expect(yield* controller.read(new Uint8Array(1))).toBe(0);
      using third = yield* pty.openTerminal();
      const again = yield* spawn(() => readText(controller, 5));
      yield* yieldNow();
      yield* third.write("again");
      expect(yield* join(again)).toBe("again");
    }));

  test("takes some of what is written while nobody has it open, then fails with EIO, and stays at its end", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      const { controller } = pty;
      const first = yield* pty.openTerminal();
      // Both directions are waited for once, so that nobody asks for the hang-up when it comes.
      const reading = yield* spawn(() => controller.read(new Uint8Array(1)));
      const writing = yield* spawn(() => errorOf(controller.write(MORE_THAN_IT_HOLDS)));
      yield* onePoll();
      yield* cancel(reading);
      expect(writing.state).toBe("suspended");
      first.close();
      const words = `write EIO ${pty.path}: nobody has the terminal open any more`;
      expect((yield* join(writing)).message).toBe(words);
      for (let time = 0; time < 2; time++) expect(yield* controller.read(new Uint8Array(1))).toBe(0);
      expect((yield* errorOf(controller.writeAll([MORE_THAN_IT_HOLDS, "x"]))).message).toBe(words);
      using second = yield* pty.openTerminal();
      yield* second.read(new Uint8Array(65_536));
      yield* second.write("x");
      expect(yield* readText(controller, 1)).toBe("x");
    }));

  test("takes what is written before its first opening, and more when it is opened", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      const writing = yield* spawn(() => pty.controller.write(MORE_THAN_IT_HOLDS));
      yield* onePoll();
      expect(writing.state).toBe("suspended");
      using terminal = yield* pty.openTerminal();
      yield* terminal.readExactly(new Uint8Array(MORE_THAN_IT_HOLDS.byteLength));
      yield* join(writing);
    }));

  test("wakes who reads the controller when the other end vanishes", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      const terminal = yield* pty.openTerminal();
      const reading = yield* spawn(() => pty.controller.read(new Uint8Array(1)));
      yield* yieldNow();
      terminal.close();
      expect(yield* join(reading)).toBe(0);
    }));

  test("wakes who reads and who writes the terminal when the controller vanishes: an end, and EIO with words", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      using terminal = yield* pty.openTerminal();
      const reading = yield* spawn(() => terminal.read(new Uint8Array(1)));
      const writing = yield* spawn(() => errorOf(terminal.write(MORE_THAN_IT_HOLDS)));
      yield* yieldNow();
      pty.close();
      expect(yield* join(reading)).toBe(0);
      const error = yield* join(writing);
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "EIO", syscall: "write", path: pty.path });
      expect(error.message).toBe(`write EIO ${pty.path}: the terminal was hung up: its controlling end is closed`);
      expect(yield* terminal.read(new Uint8Array(1))).toBe(0);
      expect((yield* errorOf(terminal.writeAll(["x"])))["code"]).toBe("EIO");
      expect((yield* errorOf(attempt(() => terminal.windowSize)))["code"]).toBe("EIO");
    }));

  test("refuses shutdown, with words, and can be written to as before", () =>
    way(function* main() {
      using pty = yield* openPty({ raw: true });
      using terminal = yield* pty.openTerminal();
      for (let time = 0; time < 2; time++) {
        const error = yield* errorOf(terminal.shutdown());
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toContain(`the terminal ${pty.path}`);
      }
      yield* terminal.write("x");
      expect(yield* readText(pty.controller, 1)).toBe("x");
    }));

  test("refuses sizes that are none, and everything after close", () =>
    way(function* main() {
      expect(yield* errorOf(openPty({ columns: -1 }))).toMatchObject({
        name: "RangeError",
        message: "openPty: columns must be an integer from 0 to 65535, but is -1",
      });
      const pty = yield* openPty();
      const { controller } = pty;
      expect((yield* errorOf(attempt(() => controller.setWindowSize({ columns: 80, rows: 1.5 })))).message).toBe(
        "setWindowSize: rows must be an integer from 0 to 65535, but is 1.5",
      );
      pty.close();
      pty.close();
      const attempts: (() => unknown)[] = [
        () => controller.windowSize,
        () => controller.setWindowSize({ columns: 80, rows: 24 }),
        () => controller.rawMode(),
      ];
      for (const act of attempts) expect(yield* errorOf(attempt(act))).toBeInstanceOf(ClosedError);
      expect(yield* errorOf(pty.openTerminal())).toBeInstanceOf(ClosedError);
      expect(yield* errorOf(pty.openDescriptor())).toBeInstanceOf(ClosedError);
    }));
});

describeUnless(needs("terminals"))("raw mode", () => {
  expectNothingLeftBehind();

  test("of a stream ends with its block, and what was set is set again", () =>
    run(function* main() {
      using pty = yield* openPty();
      using terminal = yield* pty.openTerminal();
      const before = yield* promise(settingsOf(pty.path));
      {
        using _raw = terminal.rawMode();
        expect(yield* promise(settingsOf(pty.path))).not.toBe(before);
        yield* pty.controller.write("x");
        expect(yield* readText(terminal, 1)).toBe("x");
      }
      expect(yield* promise(settingsOf(pty.path))).toBe(before);
    }));

  test("of a descriptor likewise; one that is no terminal is told by its kind", () =>
    run(function* main() {
      using pty = yield* openPty();
      using end = yield* pty.openDescriptor();
      const before = yield* promise(settingsOf(pty.path));
      const raw = yield* rawMode(end.descriptor);
      expect(yield* promise(settingsOf(pty.path))).not.toBe(before);
      raw[Symbol.dispose]();
      expect(yield* promise(settingsOf(pty.path))).toBe(before);

      expect(end.isClosed).toBe(false);
      expect(yield* isTerminal(end.descriptor)).toBe(true);
      using pipe = yield* openPipe();
      const { descriptor } = pipe.reader;
      expect(yield* isTerminal(descriptor)).toBe(false);
      for (const operation of [rawMode(descriptor), windowSize(descriptor)]) {
        const error = yield* errorOf(operation);
        expect(error["code"]).toBe("ENOTTY");
        expect(error.message).toContain(`descriptor ${descriptor} is a pipe, and no terminal`);
      }
      expect(yield* errorOf(rawMode(-1))).toBeInstanceOf(RangeError);
    }));

  test("of a stream that was closed meanwhile touches nobody else's terminal", () =>
    run(function* main() {
      using pty = yield* openPty();
      const terminal = yield* pty.openTerminal();
      const raw = terminal.rawMode();
      const number = terminal.descriptor;
      terminal.close();
      using other = yield* openPty();
      using again = yield* other.openTerminal();
      expect([other.controller.descriptor, again.descriptor]).toContain(number);
      using _kept = again.rawMode();
      const before = yield* promise(settingsOf(other.path));
      raw[Symbol.dispose]();
      expect(yield* promise(settingsOf(other.path))).toBe(before);
    }));
});

describeUnless(needs("terminals"))("a hang-up that nobody was waiting for", () => {
  expectNothingLeftBehind();

  test("does not keep the reactor busy once the terminal is open again", async () => {
    await using own = new TestReactor();
    let terminal: Terminal | null = null;
    const running = own.run(function* main() {
      using pty = yield* openPty({ raw: true });
      const { controller } = pty;
      const first = yield* pty.openTerminal();
      const reading = yield* spawn(() => controller.read(new Uint8Array(1)));
      yield* yieldNow();
      first.close();
      expect(yield* join(reading)).toBe(0);
      terminal = yield* pty.openTerminal();
      return yield* readText(controller, 1);
    });
    // It parks only if the read waits for an event, and does not find the old hang-up again and again.
    while (terminal === null) await own.untilParked();
    await own.untilParked();
    using open: Terminal = terminal;
    await own.run(() => open.write("x"));
    expect(await running).toBe("x");
  });
});

describeUnless(needs("terminals"))("a child at the other end", () => {
  expectNothingLeftBehind();

  test("finds a terminal of the size that was said, and its output ends when it does", () =>
    run(function* main() {
      using pty = yield* openPty({ columns: 132, rows: 43 });
      const child = yield* startIn(pty, ["sh", "-c", "tty; stty size; read answer; echo got $answer"]);
      const lines = pty.controller.lines();
      expect((yield* lines.next()).value).toBe(pty.path);
      expect((yield* lines.next()).value).toBe("43 132");
      yield* pty.controller.write("yes\n");
      expect((yield* lines.next()).value).toBe("yes");
      expect((yield* lines.next()).value).toBe("got yes");
      expect((yield* lines.next()).done).toBe(true);
      expect(yield* promise(child.exited)).toBe(0);
    }));

  test("gets SIGWINCH for a new size, and SIGINT for Ctrl-C, if it is its controlling terminal", () =>
    run(function* main() {
      using pty = yield* openPty();
      const script =
        "trap 'stty size' WINCH; trap 'echo interrupted; exit 3' INT; echo ready; while read line; do echo got $line; done";
      const child = yield* startIn(pty, ["setsid", "--ctty", "--wait", "bash", "-c", script]);
      const lines = pty.controller.lines();
      expect((yield* lines.next()).value).toBe("ready");
      pty.controller.setWindowSize({ columns: 100, rows: 50 });
      yield* pty.controller.write("a\n");
      const answers = [];
      // The last of them says that the shell reads again, and has no child that Ctrl-C could meet.
      while (answers.at(-1) !== "got a") answers.push((yield* lines.next()).value);
      expect(answers.sort()).toEqual(["50 100", "a", "got a"]);
      yield* pty.controller.write("\x03");
      expect((yield* lines.next()).value).toContain("interrupted");
      expect(yield* promise(child.exited)).toBe(3);
    }));
});

function* startIn(pty: Pty, command: string[]): Operation<Bun.Subprocess> {
  using end = yield* pty.openDescriptor();
  const { descriptor } = end;
  return Bun.spawn(command, { stdin: descriptor, stdout: descriptor, stderr: descriptor });
}

/** Ends when the event queue has been asked once more. */
function* onePoll(): Operation<void> {
  using counter = new EventCounter(1);
  yield* readable(counter.descriptor);
  yield* yieldNow();
}

function* readText(stream: Terminal, length: number): Operation<string> {
  const buffer = new Uint8Array(length);
  yield* stream.readExactly(buffer);
  return String(Buffer.from(buffer));
}

/** More than the system holds on its way, so that a write of it waits. */
const MORE_THAN_IT_HOLDS = new Uint8Array(200_000);

/** What throws at once, as an operation. */
function* attempt(act: () => unknown): Operation<void> {
  act();
}
