// Races of Effect 4.

import { Effect, Fiber, Queue } from "effect";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  "one ready": (count) => measureCost(() => Effect.runPromise(repeat(count, () => ONE_READY))),

  "one ready, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeat(count, () => ONE_READY))),

  "sleeping loser": (count) => measureCost(() => Effect.runPromise(repeat(count, () => SLEEPING_LOSER))),

  "sleeping loser, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeat(count, () => SLEEPING_LOSER))),

  "two receives": (count) => measureCost(() => Effect.runPromise(receiveFromTwo(count))),

  "two receives, sync scheduler": (count) => measureCost(() => runInMicrotasks(receiveFromTwo(count))),
};

const ONE_READY = Effect.raceFirst(
  Effect.sync(() => 1),
  Effect.never,
);
const SLEEPING_LOSER = Effect.raceFirst(Effect.yieldNow, Effect.sleep(FOREVER_MS));

function receiveFromTwo(count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    const left = yield* Queue.bounded<number>(1);
    const right = yield* Queue.bounded<number>(1);
    const back = yield* Queue.bounded<number>(1);
    const takeAnswer = Queue.take(back);
    const asks = [Effect.andThen(Queue.offer(left, 1), takeAnswer), Effect.andThen(Queue.offer(right, 1), takeAnswer)];
    const answer = Effect.flatMap(Effect.raceFirst(Queue.take(left), Queue.take(right)), (item) =>
      Queue.offer(back, item),
    );
    const answerer = yield* Effect.forkChild(repeat(count, () => answer));
    let index = 0;
    yield* repeat(count, () => asks[index++ % 2]!);
    yield* Fiber.join(answerer);
  });
}
