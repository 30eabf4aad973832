// What the programs have in common that wait for the samples of pty-writer.zig, each in its own way.

import { parseArguments } from "../support/arguments.ts";

/** A sample is a time of 8 bytes. */
export const SAMPLE_BYTES = 8;

/** Asks for the next sample. */
export const ASK = new TextEncoder().encode("?");

export function terminalPath(): string {
  const { path } = parseArguments({ path: "text" });
  if (path === undefined) throw new Error("--path is missing");
  return path;
}

/** The time of day in microseconds, as exact as a double holds it: to a quarter of one. */
export function timeOfDayUs(): number {
  return (performance.timeOrigin + performance.now()) * US_PER_MS;
}

/** How late each sample was. */
export class Lateness {
  private readonly latenessUs: number[] = [];

  /** Notes a sample that was noticed at `nowUs`. */
  note(sample: Uint8Array, nowUs: number): void {
    const view = new DataView(sample.buffer, sample.byteOffset, SAMPLE_BYTES);
    this.latenessUs.push(nowUs - Number(view.getBigUint64(0, true)) / NS_PER_US);
  }

  /** Tells the bench, as a line of JSON. */
  print(): void {
    console.log(JSON.stringify(this.latenessUs));
  }
}

const US_PER_MS = 1000;
const NS_PER_US = 1000;
