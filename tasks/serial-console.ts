/**
 * A terminal for a serial port, as picocom(1) is one: shows what the port sends, and sends what is typed.
 *
 *     bun tasks/serial-console.ts --port /dev/ttyUSB0 --baud 115200
 *     bun tasks/serial-console.ts --port /dev/ttyS0 --data-bits 7 --parity even --flow hardware
 *     printf 'AT\r' | bun tasks/serial-console.ts --port /dev/ttyACM0 --quiet-ms 500
 *
 * Every key goes to the port as it is pressed, Ctrl-C included. Ctrl-A is the escape key: Ctrl-A X ends the program,
 * Ctrl-A B sends a break, Ctrl-A L shows the modem lines, and Ctrl-A twice sends one. The terminal and the port are left
 * as they were, whatever ends the program.
 *
 * If the input is no terminal, its bytes are sent as they are, without an escape key; at its end the program shows what
 * comes until the port has been quiet for `--quiet-ms` (1,000, if nothing else is said).
 *
 * When the line is hung up, the program says so and ends with exit code 1.
 */

import {
  fdStream,
  type FdStream,
  isTerminal,
  type Operation,
  openSerial,
  race,
  rawMode,
  type SerialPort,
  sleep,
  UnsupportedError,
} from "../src/index.ts";
import { readArguments, toChoice, toCount, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const USAGE =
  "bun tasks/serial-console.ts --port PATH [--baud N] [--data-bits N] [--parity P] [--stop-bits N] [--flow F] [--quiet-ms N]";

const given = readArguments(USAGE, {
  port: toText,
  baud: (text = "9600") => toCount(text),
  "data-bits": (text = "8") => toCount(text),
  parity: (text = "none") => toChoice(text, ["none", "even", "odd", "mark", "space"] as const),
  "stop-bits": (text = "1") => toCount(text),
  flow: (text = "none") => toChoice(text, ["none", "hardware", "software"] as const),
  "quiet-ms": (text = "1000") => toCount(text),
});

/** How often something came from the port. */
let arrivals = 0;

function* connect(): Operation<void> {
  let isHungUp: boolean;
  try {
    isHungUp = yield* talk();
  } catch (error) {
    // The device does not take the settings. Whatever else is expected has a code, and is reported as by every program.
    if (!(error instanceof UnsupportedError || error instanceof RangeError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
    return;
  }
  if (!isHungUp) return;
  console.error(`${given.port} was hung up`);
  process.exitCode = 1;
}

/** Returns whether the line was hung up; else the person, or the input, was first. */
function* talk(): Operation<boolean> {
  using port = yield* openSerial(given.port, {
    baud: given.baud,
    dataBits: given["data-bits"],
    parity: given.parity,
    stopBits: given["stop-bits"],
    flowControl: given.flow,
  });
  using input = yield* fdStream(STANDARD_INPUT, { keepOpen: true });
  using output = yield* fdStream(STANDARD_OUTPUT, { keepOpen: true });
  if (!(yield* isTerminal(STANDARD_INPUT))) return yield* race([showAll(port, output), sendAll(input, port)]);
  console.error(`connected to ${describe(port)}; Ctrl-A X ends`);
  using _raw = yield* rawMode(STANDARD_INPUT);
  return yield* race([showAll(port, output), sendKeys(input, port)]);
}

/** Ends when the line is hung up: true. */
function* showAll(port: SerialPort, output: FdStream): Operation<boolean> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const bytes = yield* port.read(buffer);
    if (bytes === 0) return true;
    arrivals++;
    yield* output.write(buffer, 0, bytes);
  }
}

/** Ends some time after the end of the input: false. */
function* sendAll(input: FdStream, port: SerialPort): Operation<boolean> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const bytes = yield* input.read(buffer);
    if (bytes === 0) break;
    yield* port.write(buffer, 0, bytes);
  }
  yield* port.drain();
  for (let seen = -1; seen !== arrivals;) {
    seen = arrivals;
    yield* sleep(given["quiet-ms"]);
  }
  return false;
}

/** Ends when the person wants it, or the terminal is gone: false. */
function* sendKeys(input: FdStream, port: SerialPort): Operation<boolean> {
  const keys = new Uint8Array(BUFFER_BYTES);
  let isEscaped = false;
  for (;;) {
    const count = yield* input.read(keys);
    if (count === 0) return false;
    let start = 0;
    for (let at = 0; at < count; at++) {
      const key = keys[at]!;
      if (isEscaped) {
        isEscaped = false;
        // The second of two is sent, with what follows it.
        start = key === ESCAPE_KEY ? at : at + 1;
        if (yield* obey(key, port)) return false;
      } else if (key === ESCAPE_KEY) {
        isEscaped = true;
        yield* port.write(keys, start, at);
        start = at + 1;
      }
    }
    yield* port.write(keys, start, count);
  }
}

/** Does what the key after the escape key means; returns whether it means the end. */
function* obey(key: number, port: SerialPort): Operation<boolean> {
  const letter = String.fromCharCode((key & LETTER_MASK) | CAPITAL);
  if (letter === "B") yield* port.sendBreak();
  if (letter === "L") console.error(`\r\n${describeLines(port)}\r`);
  return letter === "X";
}

function describe(port: SerialPort): string {
  const { baud, dataBits, parity, stopBits, flowControl } = port.settings;
  return `${port.path}, ${baud} baud, ${dataBits}${parity[0]!.toUpperCase()}${stopBits}, flow control: ${flowControl}`;
}

function describeLines(port: SerialPort): string {
  try {
    const lines = Object.entries(port.modemLines());
    return lines.map(([name, isOn]) => `${name.toUpperCase()} ${isOn ? "on" : "off"}`).join(", ");
  } catch (error) {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  }
}

const STANDARD_INPUT = 0;
const STANDARD_OUTPUT = 1;

/** More than a person types, and than a port sends at once. */
const BUFFER_BYTES = 4096;

const ESCAPE_KEY = 0x01;

/** What is left of a letter without its case, and with Ctrl held down or not: "x", "X" and Ctrl-X are one. */
const LETTER_MASK = 0x1f;
const CAPITAL = 0x40;

await runProgram(connect);
