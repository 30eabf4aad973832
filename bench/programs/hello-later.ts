// A task that sleeps for a millisecond, and so starts the reactor thread.

import { run, sleep } from "../../src/index.ts";

await run(function* () {
  yield* sleep(1);
  console.log("hello");
});
