// The smallest program with a fiber.

import { Effect } from "effect";

await Effect.runPromise(
  Effect.gen(function* () {
    yield* Effect.sleep(1);
    console.log("hello");
  }),
);
