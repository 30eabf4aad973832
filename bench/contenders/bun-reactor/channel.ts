// Channels of this package.

import { Channel, join, run, spawn } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "capacity 0": (count) => measureCost(() => run(() => goBackAndForth(0, count))),

  "capacity 1": (count) => measureCost(() => run(() => goBackAndForth(1, count))),

  "capacity 100": (count) => measureCost(() => run(() => goBackAndForth(100, count))),

  "one way": (count) => measureCost(() => run(() => goOneWay(100, count))),
};

function* goBackAndForth(capacity: number, count: number) {
  const there = new Channel<number>(capacity);
  const back = new Channel<number>(capacity);
  const answerer = yield* spawn(function* () {
    for (let index = 0; index < count; index++) yield* back.send(yield* there.receive());
  });
  for (let index = 0; index < count; index++) {
    yield* there.send(index);
    yield* back.receive();
  }
  yield* join(answerer);
}

function* goOneWay(capacity: number, count: number) {
  const channel = new Channel<number>(capacity);
  const receiver = yield* spawn(function* () {
    for (let index = 0; index < count; index++) yield* channel.receive();
  });
  for (let index = 0; index < count; index++) yield* channel.send(index);
  yield* join(receiver);
}
