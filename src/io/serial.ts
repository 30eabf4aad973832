/**
 * Serial ports: `/dev/ttyS0`, `/dev/ttyUSB0`, `/dev/ttyACM0`, or a pseudo-terminal that plays one.
 *
 * Facts. What is set of a port is set for all who have it open, and stays when they are gone. Waiting until all is sent
 * (tcdrain(3)) blocks the thread for as long as flow control likes, and nothing tells when the last byte is gone: poll(2)
 * says "writable" long before. What can be asked at once is how many bytes the driver still has, and of most chips
 * whether the last bit is out. To begin a break waits for what is unsent; so does closing, for up to 30 s; putting the
 * settings back does not, which would send the rest at another speed.
 *
 * Decision. `drain` asks, and sleeps for as long as the line needs by its speed for what is left, so that the second
 * answer is mostly the last. While nothing moves it asks less and less often; and it never asks more than a tenth of
 * a second apart, because a device behind USB may know nothing of a speed and be done at once. `sendBreak` drains first.
 * `close` throws away what is unsent, and puts back what was set.
 */

import { spendBudget } from "../core/budget.ts";
import { systemToOpen } from "../core/current-system.ts";
import {
  assertTime,
  ClosedError,
  describeValue,
  inOtherWords,
  type SystemError,
  UnsupportedError,
} from "../core/errors.ts";
import { firstOf } from "../core/first-of.ts";
import type { Operation } from "../core/operation.ts";
import { DeadlineRequest, ParkRequest, type Suspension } from "../core/request.ts";
import { ModemLine, Queued, type TerminalMode } from "../core/terminal-system.ts";
import { yieldNow } from "../core/yield-now.ts";
import {
  byteDurationNs,
  describeRefusal,
  type SerialSettings,
  type SettingChanges,
  toLine,
  toSettings,
  USUAL_SETTINGS,
} from "./serial-settings.ts";
import { explainNoTerminal } from "./terminal.ts";
import { TerminalStream } from "./terminal-stream.ts";

export interface SerialOptions extends SettingChanges {
  readonly baud: number;
  /**
   * Whether others are kept from opening the port meanwhile (TIOCEXCL of ioctl_tty(2)), and the port is refused if
   * somebody has done so; by default so. If not, all who have it open have the settings in common, and whoever closes it
   * puts back those that it found.
   */
  readonly exclusive?: boolean | undefined;
}

/** The lines of a port beside those for data; true if they are on. */
export interface ModemLines {
  /** Data terminal ready: this side is there. */
  readonly dtr: boolean;
  /** Request to send: this side will take bytes. */
  readonly rts: boolean;
  /** Clear to send: the other side will take bytes. */
  readonly cts: boolean;
  /** Data set ready: the other side is there. */
  readonly dsr: boolean;
  /** Data carrier detect: the modem of the other side is there. */
  readonly dcd: boolean;
  /** Ring indicator. */
  readonly ri: boolean;
}

/**
 * Opens a serial port, in raw mode: every byte goes through as it is, and a break comes as a 0. Without waiting for a
 * carrier, which is ignored.
 *
 *     using port = yield* openSerial("/dev/ttyUSB0", { baud: 115_200 });
 *     yield* port.write("AT\r");
 *     const answer = yield* port.readUntil("\r", { limitBytes: 80 });
 *
 * What was set before is set again when the port is closed. When the device is unplugged, or the other end of a
 * pseudo-terminal is closed, a read finds the end and a write fails with `EIO`.
 * @throws TypeError and RangeError for an argument that is none; SystemError `ENOENT`, `EACCES`, `ENOTTY` if it is no
 *   terminal, `EBUSY` if somebody has it alone, `EIO` if there is no device behind it; UnsupportedError if the device does
 *   not take the settings
 */
export function* openSerial(path: string, options: SerialOptions): Operation<SerialPort> {
  if (typeof path !== "string" || path === "" || path.includes("\0"))
    throw new TypeError(`openSerial: path must be a path, but is ${describeValue(path)}`);
  const { exclusive = true, ...given } = options;
  const settings = completed(USUAL_SETTINGS, given);
  toLine("openSerial", settings);
  const system = yield* systemToOpen();
  const descriptor = system.terminals.openLine(path);
  if (descriptor < 0) throw explainOpen(system.errorOf(descriptor, "open", { path }));
  const port = new SerialPort(system, descriptor, path);
  try {
    port.begin(settings, exclusive);
  } catch (error) {
    port.close();
    throw error;
  }
  return port;
}

/** A serial port as a stream of bytes. */
export class SerialPort extends TerminalStream {
  /** What was set before; null until it is known. */
  private before: TerminalMode | null = null;
  private isExclusive = false;
  private isBreaking = false;
  /** Those who wait for time to pass, and want to know if the port is closed meanwhile. */
  private readonly waiting = new Set<Suspension>();

  /** Words for messages, such as `serial port /dev/ttyUSB0`. */
  get label(): string {
    return `serial port ${this.path}`;
  }

  /**
   * What the port is set to, asked of the device: its speed may be a little off what was wanted.
   * @throws SystemError `EIO` after a hang-up; ClosedError after `close`
   */
  get settings(): SerialSettings {
    this.refuseClosed("settings");
    return toSettings(this.system.terminals.lineOf(this.readMode()));
  }

  /**
   * Changes settings at once; what is unsent goes out with the new ones, so `drain` first.
   * @throws TypeError and RangeError for an argument that is none; UnsupportedError if the device does not take them, and
   *   then nothing has changed; SystemError; ClosedError after `close`
   */
  configure(changes: SettingChanges): void {
    this.refuseClosed("configure");
    const mode = this.readMode();
    const wanted = completed(toSettings(this.system.terminals.lineOf(mode)), changes);
    this.apply("configure", mode, wanted);
  }

  /**
   * Which of the lines beside those for data are on.
   * @throws UnsupportedError if the device has none, as a pseudo-terminal; SystemError; ClosedError after `close`
   */
  modemLines(): ModemLines {
    this.refuseClosed("modemLines");
    const lines = this.checkModem(this.system.terminals.modemLines(this.descriptor));
    const isOn = (line: number): boolean => (lines & line) !== 0;
    return {
      dtr: isOn(ModemLine.DATA_TERMINAL_READY),
      rts: isOn(ModemLine.REQUEST_TO_SEND),
      cts: isOn(ModemLine.CLEAR_TO_SEND),
      dsr: isOn(ModemLine.DATA_SET_READY),
      dcd: isOn(ModemLine.CARRIER_DETECT),
      ri: isOn(ModemLine.RING_INDICATOR),
    };
  }

  /**
   * Turns the lines of this side on or off; one that is not named stays as it is. With "hardware" flow control RTS is the
   * system's.
   * @throws what `modemLines` throws
   */
  setModemLines({ dtr, rts }: Partial<Pick<ModemLines, "dtr" | "rts">>): void {
    this.refuseClosed("setModemLines");
    const select = (isOn: boolean): number =>
      (dtr === isOn ? ModemLine.DATA_TERMINAL_READY : 0) | (rts === isOn ? ModemLine.REQUEST_TO_SEND : 0);
    this.checkModem(this.system.terminals.changeModemLines(this.descriptor, select(true), select(false)));
  }

  /**
   * Suspends the task until all that was written is on the line, to its last bit, as far as the device can tell; of a
   * write that is still going on, what it has got rid of.
   * @throws SystemError `EIO` after a hang-up; ClosedError if the port is closed, before or meanwhile
   */
  *drain(): Operation<void> {
    let shortestNs = SHORTEST_LOOK_NS;
    let before = Infinity;
    if (!spendBudget()) yield* yieldNow();
    for (;;) {
      this.refuseClosed("drain");
      const left = this.unsentBytes();
      if (left === 0) return;
      // Nothing has moved: the other side has stopped it, or the last byte is a slow one.
      if (left >= before) shortestNs *= 2;
      before = left;
      const neededNs = left * byteDurationNs(this.settings);
      yield* this.pass(Math.min(Math.max(neededNs, shortestNs), LONGEST_LOOK_NS));
    }
  }

  /**
   * Throws away what the system holds: what was received and not read, what was written and is not on the line, or both,
   * which is the default (tcflush(3)).
   * @throws TypeError for a direction that is none; BusyError if what was received is to go while a task is reading;
   *   SystemError; ClosedError after `close`
   */
  flush(what: "received" | "unsent" | "both" = "both"): void {
    if (!Object.hasOwn(QUEUED, what))
      throw new TypeError(`flush: what must be "received", "unsent" or "both", but is ${describeValue(what)}`);
    this.refuseClosed("flush");
    if (what !== "unsent") this.dropReadAhead();
    this.check(this.system.terminals.discard(this.descriptor, QUEUED[what]), "tcflush");
  }

  /**
   * Sends a break: waits until all is sent, then keeps the line at 0 for `durationMs` milliseconds, by default 250
   * (tcsendbreak(3)). To a pseudo-terminal it does nothing. No task may write meanwhile.
   * @throws RangeError for a time that is none; SystemError; ClosedError if the port is closed, before or meanwhile
   */
  *sendBreak(durationMs = DEFAULT_BREAK_MS): Operation<void> {
    assertTime("sendBreak: durationMs", durationMs);
    yield* this.drain();
    this.check(this.system.terminals.setBreak(this.descriptor, true), "ioctl");
    this.isBreaking = true;
    try {
      yield* this.pass(durationMs * NS_PER_MS);
    } finally {
      this.endBreak();
    }
  }

  /** For `openSerial`. */
  begin(settings: SerialSettings, exclusive: boolean): void {
    const { system, descriptor } = this;
    const mode = system.terminals.getMode(descriptor);
    if (typeof mode === "number") throw this.explainMode(mode);
    if (exclusive) this.takeAlone();
    this.before = mode;
    this.apply("openSerial", mode, settings);
  }

  protected override readonly hangUpWords = "the line was hung up: the device is gone, or the other end is closed";

  protected override closeDescriptor(): void {
    const { system, descriptor } = this;
    // The task that sends a break finds the port closed. If the device is gone, nothing of this is to be done.
    this.endBreak();
    if (this.before !== null) {
      if (system.terminals.unsentBytes(descriptor) > 0) system.terminals.discard(descriptor, Queued.UNSENT);
      system.terminals.setMode(descriptor, this.before);
    }
    if (this.isExclusive) system.terminals.setExclusive(descriptor, false);
    super.closeDescriptor();
    for (const suspension of this.waiting)
      suspension.fail(new ClosedError(`${this.label} was closed while a task waited for it`));
    this.waiting.clear();
  }

  private takeAlone(): void {
    const result = this.system.terminals.setExclusive(this.descriptor, true);
    if (result < 0) throw explainOpen(this.errorOf(result, "open"));
    this.isExclusive = true;
  }

  /** Sets, and looks whether the device has taken it: tcsetattr(3) does not tell. */
  private apply(caller: string, mode: TerminalMode, wanted: SerialSettings): void {
    const { terminals } = this.system;
    this.check(terminals.setMode(this.descriptor, terminals.lineMode(mode, toLine(caller, wanted))), "tcsetattr");
    const refusal = describeRefusal(wanted, this.settings);
    if (refusal === null) return;
    terminals.setMode(this.descriptor, mode);
    throw new UnsupportedError(`${this.label} does not take ${refusal}: choose what the device can do`);
  }

  private readMode(): TerminalMode {
    const mode = this.system.terminals.getMode(this.descriptor);
    if (typeof mode === "number") throw this.errorOf(mode, "tcgetattr");
    return mode;
  }

  /** How many bytes are not on the line yet; the last one counts until its last bit is out, if the device can tell. */
  private unsentBytes(): number {
    const { terminals } = this.system;
    const left = terminals.unsentBytes(this.descriptor);
    this.check(left, "ioctl");
    return left === 0 && terminals.isTransmitterEmpty(this.descriptor) === 0 ? 1 : left;
  }

  /** Lets time pass, unless the port is closed first. */
  private pass(durationNs: number): Operation<number> {
    return firstOf([DeadlineRequest.after(durationNs), this.untilClosed()]);
  }

  private untilClosed(): ParkRequest {
    const arm = (suspension: Suspension): { undo(): void } => {
      this.waiting.add(suspension);
      return { undo: () => void this.waiting.delete(suspension) };
    };
    return new ParkRequest(arm, `${this.label} to send`);
  }

  private endBreak(): void {
    if (!this.isBreaking) return;
    this.isBreaking = false;
    this.system.terminals.setBreak(this.descriptor, false);
  }

  private checkModem(result: number): number {
    if (result >= 0) return result;
    const error = this.errorOf(result, "ioctl");
    if (!NO_MODEM_LINES.includes(error.code)) throw error;
    throw new UnsupportedError(`${this.label} has no modem lines: it is a pseudo-terminal, or its driver knows none`);
  }

  private explainMode(result: number): SystemError {
    const error = this.system.errorOf(result, "tcgetattr", this.place);
    if (error.code === "EIO") return inOtherWords(error, "there is no device behind this name");
    const explained = inOtherWords(error, "it cannot be asked for its settings");
    return explainNoTerminal(this.system, explained, this.descriptor, this.path);
  }
}

function completed(base: Omit<SerialSettings, "baud">, changes: SettingChanges): SerialSettings {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(given) } as SerialSettings;
}

function explainOpen(error: SystemError): SystemError {
  const words = OPEN_WORDS[error.code];
  return words === undefined ? error : inOtherWords(error, words);
}

/** What the errors of open(2) mean for a port. */
const OPEN_WORDS: Readonly<Record<string, string>> = {
  EBUSY: "another program has the port for itself alone",
  EACCES: "permission denied: is the user in the group that has the port (dialout, uucp)?",
  ENOENT: "there is no such device: is it plugged in?",
  ENXIO: "there is no device behind this name",
  EIO: "there is no device behind this name",
};

/** What drivers say that have no modem lines; on older kernels it is EINVAL. */
const NO_MODEM_LINES: readonly string[] = ["ENOTTY", "EINVAL"];

const QUEUED = { received: Queued.RECEIVED, unsent: Queued.UNSENT, both: Queued.BOTH } as const;

/** As long as a byte at 9,600 baud. */
const SHORTEST_LOOK_NS = 1_000_000;

/** Seldom enough to cost nothing while the other side stops it; nobody who waits for a line notices it. */
const LONGEST_LOOK_NS = 100_000_000;

/** What tcsendbreak(3) does at the least. */
const DEFAULT_BREAK_MS = 250;

const NS_PER_MS = 1_000_000;
