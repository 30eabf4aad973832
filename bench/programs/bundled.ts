// What bench/bundle.ts bundles: a task that waits for its child in a scope.

import { run, scope, sleep } from "../../src/index.ts";

await run(() =>
  scope(function* (inside) {
    yield* inside.spawn(function* () {
      yield* sleep(1);
      console.log("hello");
    });
  }),
);
