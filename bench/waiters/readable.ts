// Waits for a descriptor that others have opened, on `run` or `blockOn`, and reads it itself.

import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { type Operation, readable } from "../../src/index.ts";
import { ASK, Lateness, SAMPLE_BYTES, terminalPath, timeOfDayUs } from "./support.ts";

export function* waitReadable(): Operation<void> {
  const descriptor = openSync(terminalPath(), constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const lateness = new Lateness();
  const sample = new Uint8Array(SAMPLE_BYTES);
  for (;;) {
    writeSync(descriptor, ASK);
    yield* readable(descriptor);
    const nowUs = timeOfDayUs();
    if (readSync(descriptor, sample) === 0) break;
    lateness.note(sample, nowUs);
  }
  lateness.print();
  closeSync(descriptor);
}
