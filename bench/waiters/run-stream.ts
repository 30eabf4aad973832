// Waits in a read of this package's stream, on `run`.

import { openSerial, run } from "../../src/index.ts";
import { ASK, Lateness, SAMPLE_BYTES, terminalPath, timeOfDayUs } from "./support.ts";

await run(function* main() {
  using port = yield* openSerial(terminalPath(), { baud: 115_200 });
  const lateness = new Lateness();
  const sample = new Uint8Array(SAMPLE_BYTES);
  for (;;) {
    yield* port.write(ASK);
    const bytes = yield* port.read(sample);
    const nowUs = timeOfDayUs();
    if (bytes === 0) break;
    lateness.note(sample, nowUs);
  }
  lateness.print();
});
