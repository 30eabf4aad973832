// Queues of Effect 4.

import { Effect, Fiber, Queue } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  "capacity 0": (count) => measureCost(() => Effect.runPromise(goBackAndForth(0, count))),

  "capacity 0, sync scheduler": (count) => measureCost(() => runInMicrotasks(goBackAndForth(0, count))),

  "capacity 1": (count) => measureCost(() => Effect.runPromise(goBackAndForth(1, count))),

  "capacity 1, sync scheduler": (count) => measureCost(() => runInMicrotasks(goBackAndForth(1, count))),

  "capacity 100": (count) => measureCost(() => Effect.runPromise(goBackAndForth(100, count))),

  "capacity 100, sync scheduler": (count) => measureCost(() => runInMicrotasks(goBackAndForth(100, count))),

  "one way": (count) => measureCost(() => Effect.runPromise(goOneWay(100, count))),

  "one way, sync scheduler": (count) => measureCost(() => runInMicrotasks(goOneWay(100, count))),
};

function goBackAndForth(capacity: number, count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    const there = yield* Queue.bounded<number>(capacity);
    const back = yield* Queue.bounded<number>(capacity);
    const ask = Effect.andThen(Queue.offer(there, 1), Queue.take(back));
    const answer = Effect.flatMap(Queue.take(there), (item) => Queue.offer(back, item));
    const answerer = yield* Effect.forkChild(repeat(count, () => answer));
    yield* repeat(count, () => ask);
    yield* Fiber.join(answerer);
  });
}

function goOneWay(capacity: number, count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    const queue = yield* Queue.bounded<number>(capacity);
    const offer = Queue.offer(queue, 1);
    const take = Queue.take(queue);
    const taker = yield* Effect.forkChild(repeat(count, () => take));
    yield* repeat(count, () => offer);
    yield* Fiber.join(taker);
  });
}
