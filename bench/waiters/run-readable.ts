// Waits for a descriptor on `run`.

import { run } from "../../src/index.ts";
import { waitReadable } from "./readable.ts";

await run(waitReadable);
