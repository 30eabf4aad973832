/** A thousand connections at once, each with a task of its own on either side. */

import type { Operation } from "../../src/index.ts";
import { loadEcho } from "./echo-load.ts";
import type { ServerProcess } from "./server-process.ts";
import { count, type Row } from "./table.ts";

export function* connections(server: ServerProcess): Operation<Row[]> {
  const port = yield* server.port();
  const { messages } = yield* loadEcho({ port, connections: CONNECTIONS, durationMs: DURATION_MS });
  return [{ what: `${count(CONNECTIONS)} connections, one second`, ours: `${count(messages)} echoes` }];
}

const CONNECTIONS = 1000;
const DURATION_MS = 1000;
