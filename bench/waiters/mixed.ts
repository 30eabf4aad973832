// A task for each of the descriptors that mixed-descriptors.zig has opened. One of them is made ready; the task that waits for
// it makes the next one ready, at random, and waits again.

import { readSync, writeSync } from "node:fs";
import { type Operation, park, readable, type Resumption, run, source, spawn } from "../../src/index.ts";
import { startClock } from "../contenders/measure.ts";
import { parseArguments } from "../support/arguments.ts";

interface Descriptor {
  readonly waited: number;
  /** -1 if nothing can be written to it. */
  readonly written: number;
}

const given = parseArguments({ descriptors: "words", way: "text", wakes: "number" });
const descriptors = (given.descriptors ?? []).map((pair): Descriptor => {
  const [waited, written] = pair.split(":").map(Number) as [number, number];
  return { waited, written };
});
const written = descriptors.map((descriptor) => descriptor.written).filter((descriptor) => descriptor >= 0);
const wakes = given.wakes ?? 10_000;

/** Until the code is compiled. */
const WARM_UP_WAKES = 20_000;

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);
const ROOM = new Uint8Array(64);

/** What decides who is next. */
let seed = 1;
let left = 0;
let finished: Resumption<void>;

await run(function* main() {
  for (const { waited } of descriptors) yield* spawn(() => (given.way === "source" ? keep(waited) : wait(waited)));
  yield* pass(WARM_UP_WAKES);
  const clock = startClock();
  yield* pass(wakes);
  const { wallNs, cpuNs } = clock();
  console.log(JSON.stringify({ wallNs: wallNs / wakes, cpuNs: cpuNs / wakes }));
  process.exit();
});

/** Registers the descriptor for each wait. */
function* wait(descriptor: number): Operation<void> {
  for (;;) {
    yield* readable(descriptor);
    passOn(descriptor);
  }
}

/** Keeps it registered. */
function* keep(descriptor: number): Operation<void> {
  using kept = yield* source(descriptor);
  for (;;) {
    yield* kept.readable();
    passOn(descriptor);
  }
}

/** Ends when so many tasks were waked. */
function pass(count: number): Operation<void> {
  left = count;
  return park((resumption) => {
    finished = resumption;
    wakeNext();
  }, "all wakes");
}

function passOn(descriptor: number): void {
  readSync(descriptor, ROOM);
  if (--left > 0) wakeNext();
  else finished.succeed();
}

function wakeNext(): void {
  writeSync(written[next(written.length)]!, ONE);
}

/** Numerical Recipes' generator: the same order at each run. */
function next(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}
