/** Serial ports, played by a pseudo-terminal. What it cannot play (time, modem lines) is in serial-line.test.ts. */

import { beforeAll, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import {
  BusyError,
  cancel,
  CancelledError,
  ClosedError,
  join,
  openPty,
  openSerial,
  type Operation,
  promise,
  run,
  type SerialOptions,
  type SerialPort,
  spawn,
  SystemError,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import { pathOf } from "../real/support/component.ts";
import { runScript } from "../support/child.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { temporaryPath, temporaryFolder } from "../support/temporary.ts";
import { settingsOf, speedOf } from "../support/terminals.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { firstOf, needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(needs("serialPorts")).each(WAYS)("a serial port in %s", (_name, way) => {
  expectNothingLeftBehind();

  test("passes every byte as it is, both ways", () =>
    way(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
      const received = new Uint8Array(256);
      yield* port.write(bytes);
      yield* pty.controller.readExactly(received);
      expect(received).toEqual(bytes);
      yield* pty.controller.write(bytes);
      yield* port.readExactly(received);
      expect(received).toEqual(bytes);
    }));

  test("has the settings that were asked for, or the usual ones", () =>
    way(function* main() {
      using pty = yield* openPty();
      const usual = { dataBits: 8, parity: "none", stopBits: 1, flowControl: "none" } as const;
      {
        using port = yield* openSerial(pty.path, { baud: 115_200, parity: undefined });
        expect(port.settings).toEqual({ baud: 115_200, ...usual });
        port.configure({ baud: 31_250, stopBits: 2 });
        expect(port.settings).toEqual({ ...usual, baud: 31_250, stopBits: 2 });
      }
      for (const flowControl of ["hardware", "software"] as const) {
        using port = yield* openSerial(pty.path, { baud: 50, stopBits: 2, flowControl });
        expect(port.settings).toEqual({ ...usual, baud: 50, stopBits: 2, flowControl });
      }
    }));

  test("is at its end when the line is hung up: reads find it, writes and all else fail with EIO and words", () =>
    way(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      const reading = yield* spawn(() => port.read(new Uint8Array(1)));
      const writing = yield* spawn(() => errorOf(port.write(MORE_THAN_IT_HOLDS)));
      yield* yieldNow();
      pty.close();
      expect(yield* join(reading)).toBe(0);
      expect((yield* join(writing)).message).toBe(
        `write EIO ${pty.path}: the line was hung up: the device is gone, or the other end is closed`,
      );
      expect(yield* port.readUntil("\n")).toBeNull();
      for (const operation of [
        port.drain(),
        port.sendBreak(1),
        attempt(() => port.settings),
        attempt(() => port.configure({ baud: 300 })),
        attempt(() => port.flush()),
      ]) {
        const error = yield* errorOf(operation);
        expect(error).toBeInstanceOf(SystemError);
        expect(error["code"]).toBe("EIO");
      }
    }));

  test("has nothing to wait for on a pseudo-terminal, which keeps no line: drain and a break", () =>
    way(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      yield* port.write("text");
      yield* port.drain();
      yield* port.sendBreak(0.1);
      port.close();
      const received = new Uint8Array(4);
      // What was written is not taken back by close.
      yield* pty.controller.readExactly(received);
      expect(String(Buffer.from(received))).toBe("text");
    }));

  test("throws away what was received, what was read ahead included, and not under a task that reads", () =>
    way(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      yield* pty.controller.write("line\nrest");
      yield* port.readUntil("\n");
      yield* port.readable();
      port.flush("received");
      yield* pty.controller.write("new\n");
      expect(String(Buffer.from((yield* port.readUntil("\n"))!))).toBe("new");
      const reading = yield* spawn(() => port.readUntil("\n"));
      yield* yieldNow();
      expect(yield* errorOf(attempt(() => port.flush()))).toBeInstanceOf(BusyError);
      port.flush("unsent");
      yield* pty.controller.write("\n");
      yield* join(reading);
      const wrong = attempt(() => port.flush("nothing" as "both"));
      expect((yield* errorOf(wrong)).message).toContain('must be "received", "unsent" or "both", but is "nothing"');
    }));

  test("says that a pseudo-terminal has no modem lines, and that no terminal can be shut down", () =>
    way(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      for (const operation of [
        attempt(() => port.modemLines()),
        attempt(() => port.setModemLines({ dtr: true })),
        attempt(() => port.setModemLines({ rts: false })),
        port.shutdown(),
      ]) {
        const error = yield* errorOf(operation);
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toContain(`serial port ${pty.path}`);
      }
    }));

  test("refuses what the device does not take, which the system does not tell, and leaves it as it was", () =>
    way(function* main() {
      using pty = yield* openPty();
      const refused: [Partial<SerialOptions>, string][] = [
        [{ parity: "even" }, "parity even (it is none)"],
        [{ dataBits: 7 }, "dataBits 7 (it is 8)"],
        [{ dataBits: 7, parity: "odd" }, "dataBits 7 (it is 8), parity odd (it is none)"],
      ];
      for (const [options, words] of refused) {
        const error = yield* errorOf(openSerial(pty.path, { baud: 9600, ...options }));
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toBe(`serial port ${pty.path} does not take ${words}: choose what the device can do`);
      }
      using port = yield* openSerial(pty.path, { baud: 9600 });
      expect(yield* errorOf(attempt(() => port.configure({ baud: 300, parity: "even" })))).toBeInstanceOf(
        UnsupportedError,
      );
      expect(port.settings.baud).toBe(9600);
    }));

  test("is refused to a second one while it is open, unless neither wants it alone", () =>
    way(function* main() {
      using pty = yield* openPty();
      const first = yield* openSerial(pty.path, { baud: 9600 });
      const error = yield* errorOf(openSerial(pty.path, { baud: 9600 }));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "EBUSY", syscall: "open", path: pty.path });
      expect(error.message).toBe(`open EBUSY ${pty.path}: another program has the port for itself alone`);
      first.close();
      using second = yield* openSerial(pty.path, { baud: 9600, exclusive: false });
      using third = yield* openSerial(pty.path, { baud: 9600, exclusive: false });
      expect(second.settings).toEqual(third.settings);
    }));

  test("can do nothing after close, but be closed again", () =>
    way(function* main() {
      using pty = yield* openPty();
      const port = yield* openSerial(pty.path, { baud: 9600 });
      port.close();
      port.close();
      for (const operation of [
        port.drain(),
        port.sendBreak(1),
        attempt(() => port.settings),
        attempt(() => port.configure({})),
        attempt(() => port.flush()),
        attempt(() => port.modemLines()),
        attempt(() => port.setModemLines({ dtr: true })),
      ])
        expect(yield* errorOf(operation)).toBeInstanceOf(ClosedError);
    }));
});

describeUnless(needs("serialPorts"))("the settings of a port, as other programs see them", () => {
  expectNothingLeftBehind();

  test.each([300, 9600, 115_200, 921_600, 4_000_000])("have the speed %d", (baud) =>
    run(function* main() {
      using pty = yield* openPty();
      using _port = yield* openSerial(pty.path, { baud });
      expect(yield* promise(speedOf(pty.path))).toBe(baud);
    }),
  );

  test("are what they were before, when it is closed", () =>
    run(() =>
      expectRestored(function* use(path) {
        using port = yield* openSerial(path, ODD_ENOUGH);
        yield* port.write("x");
        return yield* promise(settingsOf(path));
      }),
    ));

  test("are what they were before, when the task that uses it is cancelled", () =>
    run(() =>
      expectRestored(function* use(path) {
        const inside = Promise.withResolvers<string>();
        const using = yield* spawn(function* useForever() {
          using port = yield* openSerial(path, ODD_ENOUGH);
          inside.resolve(yield* promise(settingsOf(path)));
          yield* port.read(new Uint8Array(1));
        });
        yield* promise(inside.promise);
        yield* cancel(using);
        expect(yield* errorOf(join(using))).toBeInstanceOf(CancelledError);
        return yield* promise(inside.promise);
      }),
    ));

  test("are what they were before, when it is refused", () =>
    run(() =>
      expectRestored(function* use(path) {
        yield* errorOf(openSerial(path, { ...ODD_ENOUGH, parity: "mark" }));
        return "refused";
      }),
    ));
});

describeUnless(needs("serialPorts"))("what is no serial port", () => {
  expectNothingLeftBehind();

  test("is refused with words: a file, a folder, a pipe, nothing", () =>
    run(function* main() {
      using folder = temporaryFolder();
      using file = temporaryPath("file");
      writeFileSync(file.name, "text");
      const cases = [
        [file.name, "ENOTTY", `${file.name} is a regular file, and no terminal`],
        ["/dev/null", "ENOTTY", "/dev/null is a character device, and no terminal"],
        [folder.name, "EISDIR", folder.name],
        [`${folder.name}/none`, "ENOENT", "there is no such device: is it plugged in?"],
      ] as const;
      for (const [path, code, words] of cases) {
        const error = yield* errorOf(openSerial(path, { baud: 9600 }));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code, path });
        expect(error.message).toContain(words);
      }
    }));

  const WRONG: readonly (readonly [Partial<SerialOptions> & { path?: unknown }, string])[] = [
    [{ path: "" }, 'openSerial: path must be a path, but is ""'],
    [{ path: 7 }, "openSerial: path must be a path, but is 7"],
    [{ path: "a\0b" }, "openSerial: path must be a path"],
    [{ baud: 0 }, "openSerial: baud must be an integer from 1 to 2147483647, but is 0"],
    [{ baud: "9600" as unknown as number }, 'openSerial: baud must be an integer from 1 to 2147483647, but is "9600"'],
    [{ baud: undefined as unknown as number }, "but is undefined"],
    [{ dataBits: 9 }, "openSerial: dataBits must be an integer from 5 to 8, but is 9"],
    [{ stopBits: 1.5 }, "openSerial: stopBits must be an integer from 1 to 2, but is 1.5"],
    [
      { parity: "evn" as "even" },
      'openSerial: parity must be "none" or "even" or "odd" or "mark" or "space", but is "evn"',
    ],
    [
      { flowControl: "toString" as "none" },
      'openSerial: flowControl must be "none" or "hardware" or "software", but is "toString"',
    ],
  ];
  test.each(WRONG)("is an argument such as %p", ({ path = "/dev/null", ...options }, words) =>
    run(function* main() {
      const error = yield* errorOf(openSerial(path as string, { baud: 9600, ...options }));
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
      expect(error.message).toContain(words);
    }),
  );

  test("has a time that a break cannot have", () =>
    run(function* main() {
      using pty = yield* openPty();
      using port = yield* openSerial(pty.path, { baud: 9600 });
      expect((yield* errorOf(port.sendBreak(-1))).message).toContain("sendBreak: durationMs");
    }));
});

const SETPRIV = pathOf("setpriv");
const MAY_NOT_DROP = SETPRIV === null || process.getuid?.() !== 0 ? "it needs setpriv(1) and an administrator" : null;

testUnless(firstOf(needs("serialPorts"), MAY_NOT_DROP))(
  "the system refuses a port to other programs while it is open, and words tell them",
  async () => {
    await run(function* main() {
      using pty = yield* openPty();
      chmodSync(pty.path, 0o666);
      const source = `
        import { openSerial, run } from "./src/index.ts";
        const failure = await run(() => openSerial(${JSON.stringify(pty.path)}, { baud: 9600 })).catch((error) => error);
        console.log(failure.code ?? "opened", failure.message);
        process.exit();
      `;
      // The right to open it all the same is one of an administrator's.
      const command = [SETPRIV!, "--bounding-set=-sys_admin", process.execPath];
      using _port: SerialPort = yield* openSerial(pty.path, { baud: 9600 });
      const { stdout, stderr } = yield* promise(runScript(source, { command }));
      expect(stderr).toBe("");
      expect(stdout).toBe(`EBUSY open EBUSY ${pty.path}: another program has the port for itself alone\n`);
    });
  },
);

const ODD_ENOUGH: SerialOptions = { baud: 31_250, stopBits: 2, flowControl: "hardware" };

/** `use` returns what was set meanwhile. */
function* expectRestored(use: (path: string) => Operation<string>): Operation<void> {
  using pty = yield* openPty();
  const before = yield* promise(settingsOf(pty.path));
  expect(yield* use(pty.path)).not.toBe(before);
  expect(yield* promise(settingsOf(pty.path))).toBe(before);
}

/** More than the system holds on its way, so that a write of it waits. */
const MORE_THAN_IT_HOLDS = new Uint8Array(200_000);

/** What throws at once, as an operation. */
function* attempt(act: () => unknown): Operation<void> {
  act();
}
