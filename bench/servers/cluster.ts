// The echo server of this package on several Workers: the program, and what each Worker runs.

import {
  type ClusterSeat,
  clusterWorker,
  run,
  serve,
  type Sharing,
  startCluster,
  type TcpStream,
} from "../../src/index.ts";
import { parseArguments } from "../support/arguments.ts";
import { announce, HOST } from "./support.ts";

const BUFFER_BYTES = 64 * 1024;

function* echo(connection: TcpStream) {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const length = yield* connection.read(buffer);
    if (length === 0) return;
    yield* connection.write(buffer, 0, length);
  }
}

function* work(seat: ClusterSeat) {
  yield* serve(yield* seat.listen(), echo);
}

function* main() {
  const { port = 0, workers = 1, sharing } = parseArguments({ port: "number", workers: "number", sharing: "text" });
  const cluster = yield* startCluster({
    worker: new URL(import.meta.url),
    host: HOST,
    port,
    workers,
    sharing: sharing as Sharing | undefined,
  });
  announce(cluster.address.port);
  yield* cluster.ended();
}

/** A Worker has the environment of the program, and not its arguments. */
const lingerUs = process.env["LINGER_US"];

if (Bun.isMainThread) await run(main);
else await clusterWorker(work, lingerUs === undefined ? {} : { lingerUs: Number(lingerUs) });
