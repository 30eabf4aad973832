/**
 * An echo server on all cores: Workers that share one port, each with an executor and a reactor of its own.
 *
 *     bun tasks/echo-cluster.ts --workers 4 --port 7000 --host 127.0.0.1
 *
 * Without `--workers` there are as many as cores, and without a port the system chooses one. Ctrl-C ends all of them: no more
 * connections are accepted, those that are open have two seconds (`--grace-ms`) to end, and each Worker's count is printed. A
 * second Ctrl-C ends the program at once. `--sharing descriptor` lets all accept from one listener, as on systems whose kernel
 * does not spread the connections.
 *
 * This file is both: the program, and what each Worker runs.
 */

import { availableParallelism } from "node:os";
import {
  type ClusterSeat,
  clusterWorker,
  type Operation,
  serve,
  type Sharing,
  showAddress,
  startCluster,
  type TcpStream,
} from "../src/index.ts";
import { readArguments, toChoice, toCount, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

function* startWorkers(): Operation<void> {
  const { graceMs, ...options } = readCommandLine();
  const cluster = yield* startCluster({
    ...options,
    worker: new URL(import.meta.url),
    // What is cancelled at the end of the grace still has to clean up.
    graceMs: graceMs + CLEANUP_MS,
    data: graceMs,
  });
  console.log(`listening on ${showAddress(cluster.address)}`);
  console.log(`${cluster.workers.length} workers, ${WAYS[cluster.sharing]}`);
  try {
    yield* cluster.ended();
  } finally {
    for (const { index, value = "an unknown number of" } of cluster.workers)
      console.log(`worker ${index + 1} has served ${String(value)} connections`);
  }
}

/** What each Worker does; its count goes to the program. */
function* work(seat: ClusterSeat): Operation<number> {
  let served = 0;
  function* echo(connection: TcpStream): Operation<void> {
    served++;
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (;;) {
      const length = yield* connection.read(buffer);
      if (length === 0) return;
      yield* connection.write(buffer, 0, length);
    }
  }
  const graceMs = seat.data as number;
  yield* serve(yield* seat.listen(), echo, { until: seat.stopping.wait(), graceMs });
  return served;
}

function readCommandLine() {
  const { "grace-ms": graceMs, ...others } = readArguments(
    "bun tasks/echo-cluster.ts [--workers N] [--port N] [--host H] [--grace-ms N] [--sharing kernel|descriptor]",
    {
      workers: (text = String(availableParallelism())) => toCount(text, 1),
      port: (text = "0") => toPort(text),
      host: (text = "127.0.0.1") => toText(text),
      "grace-ms": (text = "2000") => toCount(text),
      sharing: (text) => (text === undefined ? undefined : toChoice<Sharing>(text, ["kernel", "descriptor"])),
    },
  );
  return { graceMs, ...others };
}

const WAYS: Readonly<Record<Sharing, string>> = {
  kernel: "each with its own listener: the kernel spreads the connections",
  descriptor: "all at one listener: whoever is first has the connection",
};

const BUFFER_BYTES = 16 * 1024;

const CLEANUP_MS = 1_000;

if (Bun.isMainThread) await runProgram(startWorkers);
else await clusterWorker(work);
