// Channels and queues of Effection 4.

import { createChannel, createQueue, run, spawn } from "effection";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  channel: (count) =>
    measureCost(() =>
      run(function* () {
        const there = createChannel<number>();
        const back = createChannel<number>();
        // Who has not subscribed misses what is sent.
        const questions = yield* there;
        const answers = yield* back;
        const answerer = yield* spawn(function* () {
          for (let index = 0; index < count; index++) yield* back.send((yield* questions.next()).value as number);
        });
        for (let index = 0; index < count; index++) {
          yield* there.send(index);
          yield* answers.next();
        }
        yield* answerer;
      }),
    ),

  queue: (count) =>
    measureCost(() =>
      run(function* () {
        const there = createQueue<number, void>();
        const back = createQueue<number, void>();
        const answerer = yield* spawn(function* () {
          for (let index = 0; index < count; index++) back.add((yield* there.next()).value as number);
        });
        for (let index = 0; index < count; index++) {
          there.add(index);
          yield* back.next();
        }
        yield* answerer;
      }),
    ),

  "one way": (count) =>
    measureCost(() =>
      run(function* () {
        const channel = createChannel<number>();
        const subscription = yield* channel;
        const receiver = yield* spawn(function* () {
          for (let index = 0; index < count; index++) yield* subscription.next();
        });
        for (let index = 0; index < count; index++) yield* channel.send(index);
        yield* receiver;
      }),
    ),
};
