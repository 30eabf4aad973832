// Waits for a descriptor on `blockOn`, which has no thread of its own.

import { blockOn } from "../../src/index.ts";
import { waitReadable } from "./readable.ts";

blockOn(waitReadable);
