// Races of Effection 4. Its queues have no capacity, and are cheaper than its channels.

import { createQueue, type Operation, race, run, sleep, spawn, suspend } from "effection";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { RESOLVED } from "./actions.ts";

export const jobs: Jobs = {
  "one ready": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* race([ready(), suspend()]);
      }),
    ),

  "sleeping loser": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* race([RESOLVED, sleep(FOREVER_MS)]);
      }),
    ),

  "two receives": (count) =>
    measureCost(() =>
      run(function* () {
        const channels = [createQueue<number, void>(), createQueue<number, void>()] as const;
        const back = createQueue<number, void>();
        const answerer = yield* spawn(function* () {
          for (let index = 0; index < count; index++) {
            const { value } = yield* race([channels[0].next(), channels[1].next()]);
            back.add(value as number);
          }
        });
        for (let index = 0; index < count; index++) {
          channels[index % 2]!.add(index);
          yield* back.next();
        }
        yield* answerer;
      }),
    ),
};

function* ready(): Operation<number> {
  return 1;
}
