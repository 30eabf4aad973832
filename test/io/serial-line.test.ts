/** What a serial port waits for: the line, and time. In virtual time, with a driver that sends at the line's speed. */

import { describe, expect, test } from "bun:test";
import {
  cancel,
  CancelledError,
  ClosedError,
  Executor,
  join,
  now,
  openSerial,
  type Operation,
  type SerialPort,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  UnsupportedError,
} from "../../src/index.ts";
import { errorOf } from "../support/loopback.ts";
import { ScriptedLine } from "../support/scripted-line.ts";
import { settled } from "../support/settled.ts";

/** Runs `body` with the port of a line, at 9,600 baud: 960 bytes a second. */
function onLine<T>(line: ScriptedLine, body: (port: SerialPort) => Operation<T>): Promise<T> {
  const running = new Executor(line).run(function* main() {
    using port = yield* openSerial("/dev/ttyS0", { baud: 9600 });
    line.log.length = 0;
    return yield* body(port);
  });
  return settled(line, running);
}

describe("drain", () => {
  test("ends when the last byte is gone, and has asked only now and then", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(48));
      const beganMs = yield* now();
      yield* port.drain();
      expect((yield* now()) - beganMs).toBeCloseTo(50, 3);
      expect(line.looks).toBe(2);
      yield* port.write(new Uint8Array(960));
      line.looks = 0;
      yield* port.drain();
      expect((yield* now()) - beganMs).toBeCloseTo(1050, 3);
      expect(line.looks).toBe(11);
    });
  });

  test("waits for the chip to be empty as well, if the driver can tell", async () => {
    const line = new ScriptedLine();
    line.chipBytes = 16;
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(48));
      const beganMs = yield* now();
      yield* port.drain();
      const tookMs = (yield* now()) - beganMs;
      expect(tookMs).toBeGreaterThanOrEqual(50);
      // The chip does not say how much it has, so the waits for it grow: the last one may be as long as all before.
      expect(tookMs).toBeLessThan(70);
      expect(line.looks).toBeLessThan(8);
    });
  });

  test("asks less and less often while the other side stops it, and goes on when that lets it", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      line.isStopped = true;
      yield* port.write(new Uint8Array(2));
      const draining = yield* spawn(() => port.drain());
      yield* sleep(10_000);
      expect(draining.state).toBe("suspended");
      // 1, 2, 4 up to 100 ms apart, then a hundred times.
      expect(line.looks).toBeGreaterThan(90);
      expect(line.looks).toBeLessThan(110);
      line.isStopped = false;
      yield* join(draining);
      expect(yield* now()).toBeLessThan(10_200);
    });
  });

  test("ends at a limit of time, and leaves the bytes where they are", async () => {
    const line = new ScriptedLine();
    line.isStopped = true;
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(10));
      expect(yield* errorOf(timeout(30, () => port.drain()))).toBeInstanceOf(TimeoutError);
      expect(line.log).toEqual([]);
      line.isStopped = false;
      yield* port.drain();
    });
    expect(line.log.some((entry) => entry.includes("thrown away"))).toBe(false);
  });

  test("ends with an error when the port is closed meanwhile, at once", async () => {
    const line = new ScriptedLine();
    line.isStopped = true;
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(1000));
      const draining = yield* spawn(() => errorOf(port.drain()));
      yield* sleep(30);
      port.close();
      const error = yield* join(draining);
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toBe("serial port /dev/ttyS0 was closed while a task waited for it");
      expect(yield* now()).toBe(30);
    });
  });

  test("ends with an error when the device is gone", async () => {
    const line = new ScriptedLine();
    line.isStopped = true;
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(1000));
      const draining = yield* spawn(() => errorOf(port.drain()));
      yield* sleep(30);
      line.isGone = true;
      expect((yield* join(draining))["code"]).toBe("EIO");
    });
  });

  test("leaves the other directions free: a task may read and write meanwhile", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(96));
      const draining = yield* spawn(() => port.drain());
      yield* sleep(1);
      yield* port.write(new Uint8Array(96));
      yield* join(draining);
      expect(yield* now()).toBeGreaterThanOrEqual(200);
    });
  });
});

describe("sendBreak", () => {
  test("begins when all is sent, and lasts as long as it should", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(96));
      yield* port.sendBreak();
      yield* port.sendBreak(0.5);
    });
    expect(line.log.slice(0, 4)).toEqual([
      "100 ms: break begins",
      "350 ms: break ends",
      "350 ms: break begins",
      "350.5 ms: break ends",
    ]);
  });

  test("ends when the task is cancelled", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      const breaking = yield* spawn(() => port.sendBreak(Infinity));
      yield* sleep(10);
      yield* cancel(breaking);
      expect(yield* errorOf(join(breaking))).toBeInstanceOf(CancelledError);
      expect(line.log).toEqual(["0 ms: break begins", "10 ms: break ends"]);
    });
  });

  test("ends when the port is closed, once, before the number can be another's", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      const breaking = yield* spawn(() => errorOf(port.sendBreak(1000)));
      yield* sleep(10);
      port.close();
      expect(yield* join(breaking)).toBeInstanceOf(ClosedError);
    });
    expect(line.log).toEqual([
      "0 ms: break begins",
      "10 ms: break ends",
      "10 ms: set 300 baud",
      "10 ms: shared",
      "10 ms: close",
    ]);
  });
});

describe("close", () => {
  test("puts back what was set, and does not wait for what is unsent: that is thrown away first", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(1000));
    });
    expect(line.log).toEqual([
      "0 ms: what is unsent is thrown away",
      "0 ms: set 300 baud",
      "0 ms: shared",
      "0 ms: close",
    ]);
  });

  test("touches nothing of a port that somebody else has alone", async () => {
    const line = new ScriptedLine();
    line.queue(1000);
    line.isTaken = true;
    const opening = new Executor(line).run(() => errorOf(openSerial("/dev/ttyS0", { baud: 9600 })));
    expect((await settled(line, opening))["code"]).toBe("EBUSY");
    expect(line.log).toEqual(["0 ms: open", "0 ms: close"]);
  });

  test("has nothing to throw away after drain", async () => {
    const line = new ScriptedLine();
    await onLine(line, function* (port) {
      yield* port.write(new Uint8Array(96));
      yield* port.drain();
    });
    expect(line.log).toEqual(["100 ms: set 300 baud", "100 ms: shared", "100 ms: close"]);
  });
});

describe("the speed that a device makes of what was asked for", () => {
  test("may be a little off, and the settings tell it", async () => {
    const line = new ScriptedLine();
    line.toSpeed = (baud) => Math.round(baud * 1.016);
    await onLine(line, function* (port) {
      expect(port.settings.baud).toBe(9754);
    });
  });

  test.each([0.97, 1.03])("is refused if it is %d times as much, and the port is as it was", async (factor) => {
    const line = new ScriptedLine();
    line.toSpeed = (baud) => (baud === 300 ? 300 : Math.round(baud * factor));
    const error = await settled(
      line,
      new Executor(line).run(() => errorOf(openSerial("/dev/ttyS0", { baud: 10_000 }))),
    );
    const taken = 10_000 * factor;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toBe(
      `serial port /dev/ttyS0 does not take baud 10000 (it is ${taken}): choose what the device can do`,
    );
    expect(line.log).toEqual([
      "0 ms: open",
      "0 ms: alone",
      `0 ms: set ${taken} baud`,
      "0 ms: set 300 baud",
      "0 ms: set 300 baud",
      "0 ms: shared",
      "0 ms: close",
    ]);
  });
});

test("modem lines are told by their names, and only those that are named are changed", async () => {
  const line = new ScriptedLine();
  await onLine(line, function* (port) {
    line.modemLines = 0b101001;
    expect(port.modemLines()).toEqual({ dtr: true, rts: false, cts: false, dsr: true, dcd: false, ri: true });
    line.modemLines = 0b010110;
    expect(port.modemLines()).toEqual({ dtr: false, rts: true, cts: true, dsr: false, dcd: true, ri: false });
    port.setModemLines({ dtr: true });
    expect(line.modemLines).toBe(0b010111);
    port.setModemLines({ dtr: false, rts: false });
    expect(line.modemLines).toBe(0b010100);
    port.setModemLines({});
    expect(line.modemLines).toBe(0b010100);
  });
});
