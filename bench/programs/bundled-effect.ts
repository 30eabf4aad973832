// What bench/bundle.ts bundles: a fiber that waits for its child in a scope.

import { Effect, Fiber } from "effect";

const child = Effect.gen(function* () {
  yield* Effect.sleep(1);
  console.log("hello");
});

await Effect.runPromise(Effect.scoped(Effect.flatMap(Effect.forkScoped(child), Fiber.join)));
