/**
 * A serial port without a device, in virtual time: a driver that sends what it was given at the speed of its line, for
 * tests of what waits for it. What is done to it is kept in `log`, each entry with its time.
 */

import { errno } from "./errno.ts";
import type { System } from "../../src/core/system.ts";
import type { Line, TerminalMode, TerminalSystem } from "../../src/core/terminal-system.ts";
import { ScriptedWorld } from "./scripted-world.ts";

const DESCRIPTOR = 100;
const NOT_A_TERMINAL = -25;
const IO_ERROR = -errno.EIO;
const BUSY = -errno.EBUSY;

export class ScriptedLine extends ScriptedWorld {
  /** The bytes that the driver has not sent. */
  private unsent = 0;
  /** When `unsent` was right. */
  private sinceNs = 0;
  private line: Line = { baud: 300, dataBits: 7, parity: 1, stopBits: 1, flowControl: 0 };
  /** Whether the other side stops it. */
  isStopped = false;
  /** How many bytes the chip keeps to itself; null if the driver cannot tell whether it is empty. */
  chipBytes: number | null = null;
  /** Another program has it alone. */
  isTaken = false;
  /** The device is gone. */
  isGone = false;
  /** What the device makes of the speed that is asked for. */
  toSpeed: (baud: number) => number = (baud) => baud;
  modemLines = 0;
  /** How often the driver was asked how much is unsent. */
  looks = 0;

  constructor() {
    super({}, {}, {});
    const { files } = this.system;
    Object.assign(this.system, {
      terminals: this.makeTerminals(),
      files: {
        ...files,
        send: (_descriptor: number, _bytes: Uint8Array, _offset: number, length: number) => this.queue(length),
      },
      close: () => (this.tell("close"), 0),
    } satisfies Partial<Record<keyof System, unknown>>);
  }

  /** Gives the driver more to send, as a write does. */
  queue(bytes: number): number {
    this.settle();
    this.unsent += bytes;
    return bytes;
  }

  tell(words: string): void {
    this.log.push(`${Math.round(this.nowNs / 1e4) / 100} ms: ${words}`);
  }

  private get byteNs(): number {
    const bits = 1 + this.line.dataBits + (this.line.parity === 0 ? 0 : 1) + this.line.stopBits;
    return (bits * 1e9) / this.line.baud;
  }

  /** What the line has sent since the last time. */
  private settle(): void {
    const sent = this.isStopped ? 0 : (this.nowNs - this.sinceNs) / this.byteNs;
    this.unsent = Math.max(0, this.unsent - sent);
    this.sinceNs = this.nowNs;
  }

  private makeTerminals(): TerminalSystem {
    const asMode = (line: Line): TerminalMode => Uint8Array.from(Buffer.from(JSON.stringify(line)));
    const asLine = (mode: TerminalMode): Line => JSON.parse(Buffer.from(mode).toString()) as Line;
    const orGone = <T>(act: () => T): T | number => (this.isGone ? IO_ERROR : act());
    const never = (): never => {
      throw new Error("a line has none of this");
    };
    return {
      openLine: () => (this.tell("open"), DESCRIPTOR),
      openController: never,
      pathOf: never,
      openPeer: never,
      rawMode: never,
      windowSize: never,
      setWindowSize: never,
      getMode: () => orGone(() => asMode(this.line)),
      setMode: (_descriptor, mode) => {
        if (this.isGone) return IO_ERROR;
        this.settle();
        const line = asLine(mode);
        this.line = { ...line, baud: this.toSpeed(line.baud) };
        this.tell(`set ${this.line.baud} baud`);
        return 0;
      },
      lineMode: (_mode, line) => asMode(line),
      lineOf: asLine,
      modemLines: () => this.modemLines,
      changeModemLines: (_descriptor, on, off) => {
        this.modemLines = (this.modemLines | on) & ~off;
        return 0;
      },
      setBreak: (_descriptor, isOn) => {
        this.tell(isOn ? "break begins" : "break ends");
        return 0;
      },
      unsentBytes: () => {
        this.looks++;
        this.settle();
        return orGone(() => Math.ceil(Math.max(0, this.unsent - (this.chipBytes ?? 0))));
      },
      isTransmitterEmpty: () => (this.chipBytes === null ? NOT_A_TERMINAL : Number(this.unsent === 0)),
      discard: () => {
        this.unsent = 0;
        this.tell("what is unsent is thrown away");
        return 0;
      },
      setExclusive: (_descriptor, isOn) => {
        if (isOn && this.isTaken) return BUSY;
        this.tell(isOn ? "alone" : "shared");
        return 0;
      },
    };
  }
}
