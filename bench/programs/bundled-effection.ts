// What bench/bundle.ts bundles: a task that waits for its child in a scope.

import { run, scoped, sleep, spawn } from "effection";

await run(() =>
  scoped(function* () {
    yield* yield* spawn(function* () {
      yield* sleep(1);
      console.log("hello");
    });
  }),
);
