/** The serial console, as a program: in a terminal of its own and with pipes, on a pseudo-terminal as its serial port. */

import { beforeAll, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { openPipe, openPty, type Operation, promise, type Pty, run, type Terminal } from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { openReactor } from "../support/loopback.ts";
import { settingsOf, speedOf } from "../support/terminals.ts";
import { runToEnd } from "./program.ts";
import { needs } from "../support/needs.ts";
import { describeUnless, testUnless } from "../support/platform.ts";

beforeAll(openReactor);

const PROGRAM = fileURLToPath(new URL("../../tasks/serial-console.ts", import.meta.url));

describeUnless(needs("serialPorts"))("serial-console in a terminal", () => {
  expectNothingLeftBehind();

  test("sends each key, shows each byte, and leaves the terminal and the port as they were", () =>
    run(function* main() {
      using line = yield* openPty();
      using screen = yield* openPty();
      const before = [yield* promise(settingsOf(line.path)), yield* promise(settingsOf(screen.path))];
      const child = yield* startIn(screen, ["--port", line.path, "--baud", "57600"]);
      expect((yield* screen.controller.lines().next()).value).toBe(
        `connected to ${line.path}, 57600 baud, 8N1, flow control: none; Ctrl-A X ends`,
      );
      yield* untilRaw(screen, before[1]!);
      expect(yield* promise(speedOf(line.path))).toBe(57_600);
      // Ctrl-C and a return go to the port as they are; the escape key goes when it is pressed twice.
      yield* screen.controller.write("a\x03\r\x01\x01b");
      expect(yield* readText(line.controller, 5)).toBe("a\x03\r\x01b");
      yield* line.controller.write(Buffer.from("\x00answer\n\xff", "latin1"));
      expect(yield* readText(screen.controller, 9)).toBe("\x00answer\n\xff");
      yield* screen.controller.write("\x01l");
      expect(yield* screen.controller.readUntil("\r\n")).toHaveLength(0);
      expect((yield* screen.controller.lines().next()).value).toContain("has no modem lines");
      yield* screen.controller.write("\x01bc\x01x");
      expect(yield* readText(line.controller, 1)).toBe("c");
      expect(yield* promise(child.exited)).toBe(0);
      expect(yield* promise(settingsOf(line.path))).toBe(before[0]!);
      expect(yield* promise(settingsOf(screen.path))).toBe(before[1]!);
    }));

  test("reports a hang-up, and restores the terminal", () =>
    run(function* main() {
      using line = yield* openPty();
      using screen = yield* openPty();
      const before = yield* promise(settingsOf(screen.path));
      const child = yield* startIn(screen, ["--port", line.path]);
      const lines = screen.controller.lines();
      yield* lines.next();
      yield* untilRaw(screen, before);
      line.close();
      expect((yield* lines.next()).value).toBe(`${line.path} was hung up`);
      expect(yield* promise(child.exited)).toBe(1);
      expect(yield* promise(settingsOf(screen.path))).toBe(before);
    }));

  test("restores the terminal and the port at SIGTERM", () =>
    run(function* main() {
      using line = yield* openPty();
      using screen = yield* openPty();
      const before = [yield* promise(settingsOf(line.path)), yield* promise(settingsOf(screen.path))];
      const child = yield* startIn(screen, ["--port", line.path]);
      yield* screen.controller.lines().next();
      yield* untilRaw(screen, before[1]!);
      child.kill("SIGTERM");
      expect(yield* promise(child.exited)).toBe(143);
      expect([yield* promise(settingsOf(line.path)), yield* promise(settingsOf(screen.path))]).toEqual(before);
    }));
});

describeUnless(needs("serialPorts"))("serial-console with pipes", () => {
  expectNothingLeftBehind();

  testUnless(needs("serialPorts"))(
    "sends its input as it is, the escape key included, and ends when the port is quiet",
    () =>
      run(function* main() {
        using line = yield* openPty({ raw: true });
        const child = yield* startWith("AT\x01x\r", ["--port", line.path, "--quiet-ms", "0"]);
        expect(yield* readText(line.controller, 5)).toBe("AT\x01x\r");
        expect(yield* promise(child.exited)).toBe(0);
        expect(yield* promise(child.stderr.text())).toBe("");
      }),
  );

  testUnless(needs("serialPorts"))("shows what comes after the end of its input, and reports a hang-up", () =>
    run(function* main() {
      using line = yield* openPty({ raw: true });
      using output = yield* openPipe();
      const args = ["--port", line.path, "--quiet-ms", "60000"];
      const child = yield* startWith("question", args, output.writer.descriptor);
      output.writer.close();
      yield* readText(line.controller, 8);
      yield* line.controller.write("answer\n");
      expect(yield* output.reader.readUntil("\n")).toEqual(new Uint8Array(Buffer.from("answer")));
      line.close();
      expect(yield* output.reader.readToEnd()).toHaveLength(0);
      expect(yield* promise(child.exited)).toBe(1);
      expect(yield* promise(child.stderr.text())).toBe(`${line.path} was hung up\n`);
    }),
  );

  test.each([
    [["--port", "/dev/null"], 1, "tcgetattr ENOTTY /dev/null: /dev/null is a character device, and no terminal"],
    [["--port", "/nowhere"], 1, "open ENOENT /nowhere: there is no such device: is it plugged in?"],
    [["--port", "/dev/null", "--data-bits", "9"], 1, "openSerial: dataBits must be an integer from 5 to 8, but is 9"],
    [[], 2, "--port is missing"],
    [["--port", ""], 2, "--port is empty"],
    [["--port", "x", "--baud", "fast"], 2, '--baud must be a whole number, but is "fast"'],
    [["--port", "x", "--flow", "x"], 2, '--flow must be none, hardware, software, but is "x"'],
  ])("refuses %p with exit code %d", async (args, exitCode, message) => {
    const end = await runToEnd("serial-console.ts", ...args);
    expect({ ...end, stderr: end.stderr.split("\n")[0] }).toEqual({ exitCode, stdout: "", stderr: message });
  });

  testUnless(needs("serialPorts"))("says what the device does not take", () =>
    run(function* main() {
      using line = yield* openPty();
      const end = yield* promise(runToEnd("serial-console.ts", "--port", line.path, "--parity", "even"));
      expect(end).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: `serial port ${line.path} does not take parity even (it is none): choose what the device can do\n`,
      });
    }),
  );
});

/** Starts the program with a terminal as its standard input and output. */
function* startIn(screen: Pty, args: readonly string[]): Operation<Bun.Subprocess> {
  using end = yield* screen.openDescriptor();
  const { descriptor } = end;
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
  const stdio = { stdin: descriptor, stdout: descriptor, stderr: descriptor };
  return Bun.spawn([process.execPath, PROGRAM, ...args], { ...stdio, env });
}

/** Starts the program with `input` in a pipe as its standard input, and its standard output ignored, or a descriptor. */
function* startWith(
  input: string,
  args: readonly string[],
  stdout: "ignore" | number = "ignore",
): Operation<Bun.Subprocess<number, typeof stdout, "pipe">> {
  using pipe = yield* openPipe();
  const stdin = pipe.reader.descriptor;
  const child = Bun.spawn([process.execPath, PROGRAM, ...args], { stdin, stdout, stderr: "pipe" });
  yield* pipe.writer.write(input);
  return child;
}

/** The program says that it is connected before it makes the terminal raw, and nothing says when it has. */
function* untilRaw(screen: Pty, before: string): Operation<void> {
  while ((yield* promise(settingsOf(screen.path))) === before);
}

function* readText(stream: Terminal, length: number): Operation<string> {
  const buffer = new Uint8Array(length);
  yield* stream.readExactly(buffer);
  return Buffer.from(buffer).toString("latin1");
}
