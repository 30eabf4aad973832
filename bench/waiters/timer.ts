// Looks each millisecond whether there is something to read, as wrappers of terminals do where there is no call that waits.

import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { ASK, Lateness, SAMPLE_BYTES, terminalPath, timeOfDayUs } from "./support.ts";

const POLL_MS = 1;

const descriptor = openSync(terminalPath(), constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
const lateness = new Lateness();
const sample = new Uint8Array(SAMPLE_BYTES);

writeSync(descriptor, ASK);
const timer = setInterval(look, POLL_MS);

function look(): void {
  const bytes = tryRead();
  const nowUs = timeOfDayUs();
  if (bytes === "nothing yet") return;
  if (bytes === 0) return end();
  lateness.note(sample, nowUs);
  writeSync(descriptor, ASK);
}

function tryRead(): number | "nothing yet" {
  try {
    return readSync(descriptor, sample);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return "nothing yet";
    throw error;
  }
}

function end(): void {
  clearInterval(timer);
  lateness.print();
  closeSync(descriptor);
}
