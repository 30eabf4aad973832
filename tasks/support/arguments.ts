/** The command line arguments of the programs, such as `--port 7000`. */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/** Says what is wrong with an argument; the argument's name is put before it. */
class ArgumentError extends Error {}

/** Makes an argument's value of its text, which is undefined if the argument was not given. */
type Reader<Value> = (text: string | undefined) => Value;

/**
 * The values of the arguments, by name. If one is wrong, tells the user which and why, and ends the program with exit
 * code 2.
 */
export function readArguments<Values extends Record<string, unknown>>(
  usage: string,
  readers: { readonly [Name in keyof Values]: Reader<Values[Name]> },
): Values {
  const names = Object.keys(readers);
  try {
    const options = Object.fromEntries(names.map((name) => [name, { type: "string" } as const]));
    const { values: texts } = parseArgs({ options });
    return Object.fromEntries(names.map((name) => [name, read(name, readers[name]!, texts[name])])) as Values;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    refuseArguments(usage, error.message);
  }
}

/** Tells the user what is wrong with the arguments, and ends the program with exit code 2. */
export function refuseArguments(usage: string, message: string): never {
  console.error(`${message}\nusage: ${usage}`);
  process.exit(2);
}

function read<Value>(name: string, reader: Reader<Value>, text: string | undefined): Value {
  try {
    return reader(text);
  } catch (error) {
    throw error instanceof ArgumentError ? new ArgumentError(`--${name} ${error.message}`) : error;
  }
}

/** A port number, 0 included: the system then chooses one. */
export function toPort(text: string | undefined): number {
  const port = Number(given(text));
  if (/^\d+$/.test(given(text)) && port <= HIGHEST_PORT) return port;
  throw new ArgumentError(`must be a port from 0 to ${HIGHEST_PORT}, but is "${text}"`);
}

/** Any text: a host, a folder, a command. */
export function toText(text: string | undefined): string {
  if (given(text) === "") throw new ArgumentError("is empty");
  return given(text);
}

/** A whole number, from `lowest` on. */
export function toCount(text: string | undefined, lowest = 0): number {
  if (/^\d{1,10}$/.test(given(text)) && Number(text) >= lowest) return Number(text);
  const range = lowest === 0 ? "" : ` from ${lowest} on`;
  throw new ArgumentError(`must be a whole number${range}, but is "${text}"`);
}

/** `NAME=VALUE`; the value may have further equals signs. */
export function toAssignment(text: string | undefined): Readonly<Record<string, string>> {
  const end = given(text).indexOf("=");
  if (end >= 1) return { [given(text).slice(0, end)]: given(text).slice(end + 1) };
  throw new ArgumentError(`must be NAME=VALUE, but is "${text}"`);
}

/** One of several words. */
export function toChoice<const Word extends string>(text: string | undefined, words: readonly Word[]): Word {
  const word = words.find((known) => known === given(text));
  if (word !== undefined) return word;
  throw new ArgumentError(`must be ${words.join(", ")}, but is "${text}"`);
}

/** A place to connect to: `localhost:80`, `127.0.0.1:80`, `[::1]:80`. */
export function toDestination(text: string | undefined): Destination {
  const match = /^(?:\[(?<address>[^\]]+)\]|(?<host>[^:[\]]+)):(?<port>\d+)$/.exec(given(text));
  const { address, host = address, port } = match?.groups ?? {};
  if (host !== undefined && Number(port) >= 1 && Number(port) <= HIGHEST_PORT) return { host, port: Number(port) };
  throw new ArgumentError(`must be HOST:PORT, with an IPv6 address in brackets, such as [::1]:80, but is "${text}"`);
}

/** Where ZeroMQ binds to: a transport and what that takes. */
export function toEndpoint(text: string | undefined): string {
  if (/^[a-z]+:\/\/./.test(given(text))) return given(text);
  throw new ArgumentError(`must be an endpoint such as tcp://127.0.0.1:5555, but is "${text}"`);
}

/** The text of a file. */
export function toFileText(text: string | undefined): string {
  try {
    return readFileSync(given(text), "utf8");
  } catch (error) {
    throw new ArgumentError(`must be a file that can be read: ${(error as Error).message}`);
  }
}

export interface Destination {
  readonly host: string;
  readonly port: number;
}

function given(text: string | undefined): string {
  if (text === undefined) throw new ArgumentError("is missing");
  return text;
}

const HIGHEST_PORT = 65_535;
