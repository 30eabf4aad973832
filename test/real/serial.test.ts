/** Serial ports with other programs at the other end of the line, which is a kernel's pseudo-terminal: socat and picocom. */

import { beforeAll, expect, test } from "bun:test";
import { join as joinPath } from "node:path";
import {
  all,
  join,
  openPty,
  openSerial,
  type Operation,
  promise,
  type Pty,
  run,
  type SerialPort,
  spawn,
  SystemError,
  yieldNow,
} from "../../src/index.ts";
import { errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { temporaryFolder, type TemporaryPath } from "../support/temporary.ts";
import { settingsOf, speedOf } from "../support/terminals.ts";
import { describeReal, pathOf } from "./support/component.ts";
import { RealServer, runCommand } from "./support/server.ts";

beforeAll(openReactor);

describeReal("a serial port whose other end socat holds", { programs: ["socat", "stty"] }, () => {
  test("carries all bytes both ways, in order", async () => {
    using folder = temporaryFolder();
    await using _echo = await startSocat(line(folder, "ours"), "EXEC:cat");
    await run(function* main() {
      using port = yield* openSerial(joinPath(folder.name, "ours"), { baud: 115_200 });
      const sent = patternOf(300_000);
      const received = new Uint8Array(sent.length);
      yield* all([() => port.write(sent), () => port.readExactly(received)]);
      expect(Buffer.compare(received, sent)).toBe(0);
    });
  });

  test.each([9600, 57_600, 230_400])("has the speed %d for stty, and its own settings again after it", async (baud) => {
    using folder = temporaryFolder();
    await using _echo = await startSocat(line(folder, "ours"), "EXEC:cat");
    const path = joinPath(folder.name, "ours");
    const before = await settingsOf(path);
    await run(function* main() {
      using port = yield* openSerial(path, { baud, flowControl: "hardware" });
      expect(yield* promise(speedOf(path))).toBe(baud);
      expect(yield* promise(settingsOf(path))).not.toBe(before);
      expect(port.settings).toMatchObject({ baud, flowControl: "hardware" });
    });
    expect(await settingsOf(path)).toBe(before);
  });

  test("has the speed that stty sets meanwhile, and one that stty knows no name for", async () => {
    using folder = temporaryFolder();
    await using _echo = await startSocat(line(folder, "ours"), "EXEC:cat");
    const path = joinPath(folder.name, "ours");
    await run(function* main() {
      // As other programs may use a port at the same time.
      using port = yield* openSerial(path, { baud: 250_000, exclusive: false });
      expect(port.settings.baud).toBe(250_000);
      yield* promise(runCommand(["stty", "-F", path, "19200"]));
      expect(port.settings.baud).toBe(19_200);
    });
  });

  test("is at its end when socat is killed: who reads finds it, a write fails with EIO", async () => {
    using folder = temporaryFolder();
    await using socat = await startSocat(line(folder, "ours"), "EXEC:cat");
    await run(function* main() {
      using port = yield* openSerial(joinPath(folder.name, "ours"), { baud: 9600 });
      yield* port.write("x");
      yield* port.readExactly(new Uint8Array(1));
      const reading = yield* spawn(() => port.read(new Uint8Array(1)));
      yield* yieldNow();
      socat.kill();
      expect(yield* join(reading)).toBe(0);
      const error = yield* errorOf(port.write("x"));
      expect(error).toBeInstanceOf(SystemError);
      expect(error["code"]).toBe("EIO");
    });
  });
});

describeReal("a serial port with picocom at the other end", { programs: ["socat", "stty", "picocom"] }, () => {
  test("carries what is typed there and shows what is sent, byte for byte", () =>
    withPicocom(function* talk({ port, screen }) {
      const typed = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      yield* screen.controller.write(typed);
      const received = new Uint8Array(typed.length);
      yield* port.readExactly(received);
      expect(received).toEqual(typed);
      const answer = patternOf(20_000);
      const shown = new Uint8Array(answer.length);
      yield* all([() => port.write(answer), () => screen.controller.readExactly(shown)]);
      expect(Buffer.compare(shown, answer)).toBe(0);
    }));

  test("keeps its own speed while picocom has another at its end", () =>
    withPicocom(function* talk({ port, path, theirPath }) {
      expect(yield* promise(speedOf(path))).toBe(38_400);
      expect(yield* promise(speedOf(theirPath))).toBe(115_200);
      expect(port.settings.baud).toBe(38_400);
    }));

  test("is hung up for both when the line is cut", () =>
    withPicocom(function* talk({ port, screen, picocom, socat }) {
      const reading = yield* spawn(() => port.read(new Uint8Array(1)));
      yield* yieldNow();
      socat.kill();
      expect(yield* join(reading)).toBe(0);
      // Picocom finds the same, in its words.
      expect(String(Buffer.from(yield* screen.controller.readToEnd()))).toContain("FATAL");
      expect(yield* promise(picocom.exited)).not.toBe(0);
    }));
});

interface Bench {
  readonly port: SerialPort;
  readonly path: string;
  readonly theirPath: string;
  /** The terminal in which picocom runs. */
  readonly screen: Pty;
  readonly picocom: Bun.Subprocess;
  readonly socat: RealServer;
}

/** A null-modem cable, picocom in a terminal at one end, and our port at the other. */
async function withPicocom(body: (bench: Bench) => Operation<void>): Promise<void> {
  using folder = temporaryFolder();
  await using socat = await startSocat(line(folder, "ours"), line(folder, "theirs"));
  const [path, theirPath] = [joinPath(folder.name, "ours"), joinPath(folder.name, "theirs")];
  await run(function* main() {
    using port = yield* openSerial(path, { baud: 38_400 });
    using screen = yield* openPty();
    const picocom = yield* startIn(screen, ["picocom", "--no-escape", "--baud", "115200", theirPath]);
    try {
      // Before that it throws away what came.
      yield* screen.controller.readUntil("Terminal ready\r\n");
      yield* body({ port, path, theirPath, screen, picocom, socat });
    } finally {
      picocom.kill("SIGKILL");
      yield* promise(picocom.exited);
    }
  });
}

function* startIn(screen: Pty, [program, ...args]: readonly string[]): Operation<Bun.Subprocess> {
  using end = yield* screen.openDescriptor();
  const { descriptor } = end;
  return Bun.spawn([pathOf(program!)!, ...args], { stdin: descriptor, stdout: descriptor, stderr: descriptor });
}

function startSocat(...ends: readonly [string, string]): Promise<RealServer> {
  const isReady = (text: string): boolean => text.includes("starting data transfer loop");
  return RealServer.start(["socat", "-d", "-d", ...ends], { isReady });
}

/** One end of a line, as socat makes it: a pseudo-terminal, found by a name in a folder. */
function line(folder: TemporaryPath, name: string): string {
  return `PTY,rawer,link=${joinPath(folder.name, name)}`;
}
