/** What a serial port can be set to, as its users write it. */

import { assertInteger, describeValue } from "../core/errors.ts";
import { FlowControl, type Line, Parity } from "../core/terminal-system.ts";

export interface SerialSettings {
  /**
   * Bits a second, both ways; any number, not only those that have a name. What the device makes of it is at most 2 %
   * off.
   */
  readonly baud: number;
  /** 5 to 8; by default 8. */
  readonly dataBits: number;
  /** By default "none". */
  readonly parity: SerialParity;
  /** 1 or 2; by default 1. */
  readonly stopBits: number;
  /**
   * Who may stop the other side: nobody, which is the default; both by the lines RTS and CTS ("hardware"); both by the
   * bytes 17 and 19 ("software"), which then cannot be among the data.
   */
  readonly flowControl: SerialFlowControl;
}

export type SerialParity = "none" | "even" | "odd" | "mark" | "space";
export type SerialFlowControl = "none" | "hardware" | "software";

/** Settings to change; one that is left out stays as it is. */
export type SettingChanges = { readonly [Name in keyof SerialSettings]?: SerialSettings[Name] | undefined };

/** What is set of what is left out when a port is opened. */
export const USUAL_SETTINGS = { dataBits: 8, parity: "none", stopBits: 1, flowControl: "none" } as const;

/** @throws RangeError for a number, TypeError for a word that is none, with the caller's name */
export function toLine(caller: string, settings: SerialSettings): Line {
  const { baud, dataBits, parity, stopBits, flowControl } = settings;
  assertInteger(`${caller}: baud`, baud, 1, HIGHEST_BAUD);
  assertInteger(`${caller}: dataBits`, dataBits, 5, 8);
  assertInteger(`${caller}: stopBits`, stopBits, 1, 2);
  return {
    baud,
    dataBits,
    parity: numberOf(`${caller}: parity`, PARITIES, parity),
    stopBits,
    flowControl: numberOf(`${caller}: flowControl`, FLOW_CONTROLS, flowControl),
  };
}

export function toSettings({ baud, dataBits, parity, stopBits, flowControl }: Line): SerialSettings {
  return {
    baud,
    dataBits,
    parity: nameOf(PARITIES, parity),
    stopBits,
    flowControl: nameOf(FLOW_CONTROLS, flowControl),
  };
}

/** What of the settings is not as it was wanted, in words, such as `baud 31250 (it is 9600)`; null if all is. */
export function describeRefusal(wanted: SerialSettings, taken: SerialSettings): string | null {
  const refused = (Object.keys(wanted) as (keyof SerialSettings)[]).filter((name) =>
    name === "baud" ? !isSameSpeed(wanted.baud, taken.baud) : wanted[name] !== taken[name],
  );
  if (refused.length === 0) return null;
  return refused.map((name) => `${name} ${wanted[name]} (it is ${taken[name]})`).join(", ");
}

/** How long one byte is on the line: a start bit, its own, and those that follow. */
export function byteDurationNs({ baud, dataBits, parity, stopBits }: SerialSettings): number {
  const bits = 1 + dataBits + (parity === "none" ? 0 : 1) + stopBits;
  return (bits / baud) * NS_PER_S;
}

function isSameSpeed(wanted: number, taken: number): boolean {
  return Math.abs(taken - wanted) <= wanted * SPEED_TOLERANCE;
}

function numberOf<N extends number>(name: string, numbers: Readonly<Record<string, N>>, word: string): N {
  const number = Object.hasOwn(numbers, word) ? numbers[word] : undefined;
  if (number !== undefined) return number;
  const known = Object.keys(numbers).map((known) => `"${known}"`);
  throw new TypeError(`${name} must be ${known.join(" or ")}, but is ${describeValue(word)}`);
}

function nameOf<Name extends string, N extends number>(numbers: Readonly<Record<Name, N>>, number: N): Name {
  return (Object.keys(numbers) as Name[]).find((name) => numbers[name] === number)!;
}

const PARITIES = {
  none: Parity.NONE,
  even: Parity.EVEN,
  odd: Parity.ODD,
  mark: Parity.MARK,
  space: Parity.SPACE,
} as const;

const FLOW_CONTROLS = {
  none: FlowControl.NONE,
  hardware: FlowControl.HARDWARE,
  software: FlowControl.SOFTWARE,
} as const;

/** A clock divider rarely hits a speed exactly; a receiver, which starts anew with each byte, stands as much. */
const SPEED_TOLERANCE = 0.02;

/** Above what any device does; the system has 32 bits for it. */
const HIGHEST_BAUD = 0x7fffffff;

const NS_PER_S = 1_000_000_000;
