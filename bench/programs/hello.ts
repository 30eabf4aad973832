// The smallest program with a task.

import { run } from "../../src/index.ts";

await run(function* () {
  console.log("hello");
});
