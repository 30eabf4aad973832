/**
 * A tour of what the package does, on real sockets; it takes about eight seconds.
 *
 *     bun start
 */

import { cancel, type Operation, spawn } from "../src/index.ts";
import { runProgram } from "./support/program.ts";
import { besideBun } from "./tour/beside-bun.ts";
import { cancellation } from "./tour/cancellation.ts";
import { connections } from "./tour/connections.ts";
import { deadlines } from "./tour/deadlines.ts";
import { descriptor } from "./tour/descriptor.ts";
import { Progress, type Step } from "./tour/progress.ts";
import { ServerProcess } from "./tour/server-process.ts";
import { printTable, type Row } from "./tour/table.ts";

interface Stop extends Step {
  /** Shows something, and returns what came of it. */
  readonly show: () => Operation<Row[]>;
}

using echo = new ServerProcess("../echo.ts");
using bunListenEcho = new ServerProcess("./bun-listen-echo.ts");

const STOPS: readonly Stop[] = [
  { title: "1,000 connections at once", expectedMs: 1500, show: () => connections(echo) },
  { title: "deadlines", expectedMs: 250, show: deadlines },
  { title: "cancelling 10,000 tasks", expectedMs: 150, show: cancellation },
  { title: "waiting for a descriptor of another kind", expectedMs: 50, show: descriptor },
  { title: "the same echo on Bun.listen", expectedMs: 5200, show: () => besideBun(echo, bunListenEcho) },
];

function* tour(): Operation<void> {
  const progress = new Progress(STOPS);
  const bar = yield* spawn(progress.show());
  const rows: Row[] = [];
  for (const stop of STOPS) {
    progress.begin(stop);
    rows.push(...(yield* stop.show()));
  }
  yield* cancel(bar);
  printTable(rows);
  console.log("A run as short as this gives an indication only: bun run bench measures.");
}

await runProgram(tour);
