// Races of this package.

import { Channel, join, type Operation, park, race, run, sleep, spawn, yieldNow } from "../../../src/index.ts";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "one ready": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* race([ready, never()]);
      }),
    ),

  "sleeping loser": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* race([yieldNow(), sleep(FOREVER_MS)]);
      }),
    ),

  "two receives": (count) => measureCost(() => run(() => receiveFromTwo(count))),
};

function* ready() {
  return 1;
}

function never(): Operation<void> {
  return park<void>(ignore);
}

function ignore(): void {
  // Nobody will resume it.
}

function* receiveFromTwo(count: number) {
  const channels = [new Channel<number>(1), new Channel<number>(1)] as const;
  const back = new Channel<number>(1);
  const answerer = yield* spawn(function* () {
    for (let index = 0; index < count; index++) {
      yield* back.send(yield* race([channels[0].receive(), channels[1].receive()]));
    }
  });
  for (let index = 0; index < count; index++) {
    yield* channels[index % 2]!.send(index);
    yield* back.receive();
  }
  yield* join(answerer);
}
