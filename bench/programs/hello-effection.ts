// The smallest program with an Effection task.

import { run, sleep } from "effection";

await run(function* () {
  yield* sleep(1);
  console.log("hello");
});
