/**
 * Prints what is sent to a channel of PostgreSQL with NOTIFY, through libpq, one line a notification.
 *
 *     bun tasks/pg-listen.ts --settings "hostaddr=127.0.0.1 dbname=postgres user=postgres" --channel news
 *
 * It connects again when the server was away. Ctrl-C ends it.
 */

import { exponential, type Operation, retry } from "../src/index.ts";
import { readArguments, toText } from "./support/arguments.ts";
import { connectPostgres, type Postgres, PostgresError } from "./support/libpq.ts";
import { runProgram } from "./support/program.ts";

const { settings, channel } = readArguments('bun tasks/pg-listen.ts [--settings "KEY=VALUE …"] --channel NAME', {
  settings: (text = "dbname=postgres") => text,
  channel: toText,
});

function* listenForEver(): Operation<void> {
  for (;;) {
    using postgres = yield* connectAgain();
    try {
      yield* printAll(postgres);
    } catch (error) {
      if (!(error instanceof PostgresError) || !CONNECTION_IS_GONE.test(error.code)) throw error;
      console.error(error.message);
    }
  }
}

function* printAll(postgres: Postgres): Operation<void> {
  yield* postgres.query(`LISTEN "${channel.replaceAll('"', '""')}"`);
  console.log(`listening to ${channel}`);
  for (;;) {
    const { payload, senderProcessId } = yield* postgres.notification();
    console.log(`${channel} from ${senderProcessId}: ${payload}`);
  }
}

function connectAgain(): Operation<Postgres> {
  return retry(() => connectPostgres(settings), {
    times: Infinity,
    backoff: exponential(100, { longestMs: 5_000 }),
    when: (error) => {
      if (!(error instanceof PostgresError) || !CONNECTION_IS_GONE.test(error.code)) return false;
      console.error(error.message);
      return true;
    },
  });
}

/** SQLSTATEs that mean that the connection is gone, or was never there, or that the server ends it (57P01 and the like). */
const CONNECTION_IS_GONE = /^(08|57P)/;

await runProgram(listenForEver);
