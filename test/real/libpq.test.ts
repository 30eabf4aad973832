/** PostgreSQL through libpq: a C library whose socket is waited for with `readable` and `writable`. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  cancel,
  ClosedError,
  join,
  type Operation,
  promise,
  run,
  spawn,
  timeout,
  TimeoutError,
  yieldNow,
} from "../../src/index.ts";
import { connectPostgres, type Postgres, PostgresError } from "../../tasks/support/libpq.ts";
import { leftSince, openSockets } from "../support/loopback.ts";
import { Program, runToEnd } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { POSTGRES_PROGRAMS, PostgresServer } from "./support/postgres.ts";
import { freePort } from "./support/server.ts";

const programs = [`${POSTGRES_PROGRAMS ?? "/usr/lib/postgresql"}/initdb`];

describeReal("PostgreSQL through libpq", { programs, libraries: ["libpq.so.5"] }, () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("connects with PQconnectPoll and answers queries with values", () =>
    withPostgres(server, function* main(postgres) {
      const { rows } = yield* postgres.query("SELECT $1::int + 1 AS sum, $2::text AS text, NULL AS nothing", [
        41,
        "zażółć",
      ]);
      expect(rows).toEqual([{ sum: "42", text: "zażółć", nothing: null }]);
      yield* postgres.query("CREATE TEMP TABLE t (n int)");
      const inserted = yield* postgres.query("INSERT INTO t SELECT generate_series(1, 1000)");
      expect(inserted.count).toBe(1_000);
      expect((yield* postgres.query("SELECT n FROM t ORDER BY n")).rows.at(-1)).toEqual({ n: "1000" });
    }));

  test("a statement of several megabytes goes out, and as much comes back", () =>
    withPostgres(server, function* main(postgres) {
      const large = "x".repeat(8_000_000);
      const { rows } = yield* postgres.query("SELECT $1::text AS echo", [large]);
      expect(rows[0]!["echo"]).toBe(large);
    }));

  test("an error has its SQLSTATE and the statement, and the connection goes on", () =>
    withPostgres(server, function* main(postgres) {
      const error = yield* errorOf(postgres.query("SELECT nonsense"));
      expect(error).toBeInstanceOf(PostgresError);
      expect((error as PostgresError).code).toBe("42703");
      expect(error.message).toContain("SELECT nonsense");
      expect((yield* postgres.query("SELECT 1 AS one")).rows).toEqual([{ one: "1" }]);
    }));

  test("a connection that is refused says so", async () => {
    const error = await run(() => errorOf(connectPostgres("hostaddr=127.0.0.1 port=1 dbname=postgres user=postgres")));
    expect(error).toBeInstanceOf(PostgresError);
    expect(error.message).toContain("refused");
  });

  test("ten connections work at once", async () => {
    await run(function* main() {
      const tasks = [];
      for (let index = 0; index < 10; index++) {
        tasks.push(
          yield* spawn(function* ask() {
            using postgres = yield* connectPostgres(server.settings);
            return (yield* postgres.query("SELECT pg_sleep(0.01), $1::text AS name", [index])).rows[0]!["name"];
          }),
        );
      }
      for (const [index, task] of tasks.entries()) expect(yield* join(task)).toBe(String(index));
    });
  });

  test("NOTIFY arrives at another connection, in order", () =>
    withPostgres(server, function* main(listener) {
      yield* listener.query("LISTEN news");
      const receiving = yield* spawn(function* receive() {
        const payloads: string[] = [];
        while (payloads.length < 100) payloads.push((yield* listener.notification()).payload);
        return payloads;
      });
      using sender = yield* connectPostgres(server.settings);
      for (let index = 0; index < 100; index++)
        yield* sender.query("SELECT pg_notify('news', $1)", [`message ${index}`]);
      expect(yield* join(receiving)).toEqual(Array.from({ length: 100 }, (_, index) => `message ${index}`));
    }));

  test("a long query is cancelled at a deadline, and its connection goes on", () =>
    withPostgres(server, function* main(postgres) {
      const error = yield* errorOf(timeout(20, () => postgres.query("SELECT pg_sleep(600)")));
      expect(error).toBeInstanceOf(TimeoutError);
      yield* postgres.cancelQuery();
      expect((yield* postgres.query("SELECT 1 AS one")).rows).toEqual([{ one: "1" }]);
    }));

  test("a query that was cancelled keeps others from the connection, in words, until cancelQuery", () =>
    withPostgres(server, function* main(postgres) {
      // So large that some of it has not gone out when the task is cancelled.
      const large = "x".repeat(50_000_000);
      const asking = yield* spawn(() => postgres.query("SELECT pg_sleep(600), length($1)", [large]));
      yield* yieldNow();
      yield* cancel(asking);
      const error = yield* errorOf(postgres.query("SELECT 1"));
      expect((error as PostgresError).code).toBe("55006");
      expect(error.message).toContain("has not finished another statement: SELECT pg_sleep(600), length($1)");
      yield* postgres.cancelQuery();
      expect((yield* postgres.query("SELECT 1 AS one")).rows).toEqual([{ one: "1" }]);
      yield* postgres.cancelQuery();
      expect((yield* postgres.query("SELECT 2 AS two")).rows).toEqual([{ two: "2" }]);
    }));

  test("a connection that is closed ends the waits for it, and refuses what comes after", () =>
    withPostgres(server, function* main(postgres) {
      const waiting = yield* spawn(() => errorOf(postgres.notification()));
      yield* yieldNow();
      postgres.close();
      expect(yield* join(waiting)).toBeInstanceOf(ClosedError);
      using other = yield* connectPostgres(server.settings);
      yield* other.query("CREATE TEMP TABLE t (n int)");
      function* chunks(): Generator<Uint8Array> {
        other.close();
        yield new TextEncoder().encode("1\n");
      }
      expect((yield* errorOf(other.copyIn("COPY t FROM STDIN", chunks()))).message).toBe("the connection is closed");
      for (const use of [() => postgres.query("SELECT 1"), () => postgres.notification(), () => postgres.cancelQuery()])
        expect((yield* errorOf(use())).message).toBe("the connection is closed");
    }));

  test("COPY takes 100,000 rows in and gives them out, waiting for the server", () =>
    withPostgres(server, function* main(postgres) {
      yield* postgres.query("CREATE TEMP TABLE rows (n int, text text)");
      const encoder = new TextEncoder();
      function* chunks(): Generator<Uint8Array> {
        for (let n = 0; n < 100_000; n++) yield encoder.encode(`${n}\t${"text ".repeat(20)}${n}\n`);
      }
      expect(yield* postgres.copyIn("COPY rows FROM STDIN", chunks())).toBe(100_000);
      const { rows } = yield* postgres.query("SELECT count(*), sum(n) FROM rows");
      expect(rows).toEqual([{ count: "100000", sum: "4999950000" }]);
      let received = 0;
      let last = "";
      yield* postgres.copyOut("COPY (SELECT n FROM rows ORDER BY n) TO STDOUT", (row) => {
        received++;
        last = new TextDecoder().decode(row);
      });
      expect([received, last]).toEqual([100_000, "99999\n"]);
    }));

  test("COPY waits while the server takes no rows: little is asked for ahead, and all arrive in the end", () =>
    withPostgres(server, function* main(postgres) {
      using other = yield* connectPostgres(server.settings);
      yield* other.query("SELECT pg_advisory_lock(42)");
      yield* postgres.query("CREATE TEMP TABLE slow (text text)");
      yield* postgres.query(
        "CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql AS " +
          "'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END'",
      );
      yield* postgres.query("CREATE TRIGGER wait BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()");
      let asked = 0;
      function* chunks(): Generator<Uint8Array> {
        const row = new TextEncoder().encode(`${"x".repeat(99_999)}\n`);
        for (; asked < 1_000; asked++) yield row;
      }
      const copying = yield* spawn(() => postgres.copyIn("COPY slow FROM STDIN", chunks()));
      const isWaiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY slow%' AND wait_event = 'advisory'";
      while ((yield* other.query(isWaiting)).rows.length === 0);
      // The kernel holds a few megabytes of the 100.
      expect(asked).toBeLessThan(500);
      yield* other.query("SELECT pg_advisory_unlock(42)");
      expect(yield* join(copying)).toBe(0);
      expect(asked).toBe(1_000);
    }));

  test("rows of a COPY are taken one by one, also by a task that waits, and the connection is free after a break", () =>
    withPostgres(server, function* main(postgres) {
      const rows = "COPY (SELECT n FROM generate_series(1, 300000) n) TO STDOUT";
      let sum = 0;
      yield* postgres.copyOut(rows, function* add(row) {
        if (sum % 1_000 === 0) yield* yieldNow();
        sum += Number(new TextDecoder().decode(row));
      });
      expect(sum).toBe(45_000_150_000);
      const error = yield* errorOf(
        postgres.copyOut(rows, () => {
          throw new Error("no more");
        }),
      );
      expect(error.message).toBe("no more");
      yield* postgres.cancelQuery();
      expect((yield* postgres.query("SELECT 1 AS one")).rows).toEqual([{ one: "1" }]);
    }));

  test("a COPY in the wrong direction, or in a query, is an error, and the connection goes on", () =>
    withPostgres(server, function* main(postgres) {
      yield* postgres.query("CREATE TEMP TABLE t (n int)");
      const [inward, outward] = ["COPY t FROM STDIN", "COPY (SELECT generate_series(1, 100000)) TO STDOUT"];
      for (const wrong of [
        () => postgres.copyIn(outward, []),
        () => postgres.copyOut(inward, () => {}),
        () => postgres.query(inward),
        () => postgres.query(outward),
      ]) {
        expect(yield* errorOf(wrong())).toBeInstanceOf(PostgresError);
        expect((yield* postgres.query("SELECT 1 AS one")).rows).toEqual([{ one: "1" }]);
      }
    }));

  test("a COPY that breaks off half-way leaves no rows, and the connection goes on", () =>
    withPostgres(server, function* main(postgres) {
      yield* postgres.query("CREATE TEMP TABLE half (n int)");
      function* chunks(): Generator<Uint8Array> {
        yield new TextEncoder().encode("1\n");
        throw new Error("no more");
      }
      expect((yield* errorOf(postgres.copyIn("COPY half FROM STDIN", chunks()))).message).toBe("no more");
      expect((yield* postgres.query("SELECT count(*) FROM half")).rows).toEqual([{ count: "0" }]);
      const wrong = yield* errorOf(postgres.copyIn("SELECT 1", []));
      expect(wrong).toBeInstanceOf(PostgresError);
      expect((yield* postgres.query("SELECT 2 AS two")).rows).toEqual([{ two: "2" }]);
    }));

  test("a task that is cancelled at its n-th wait, for every n, leaves no socket", async () => {
    const before = openSockets();
    for (let most = 0, isDone = false; !isDone; most++) {
      let waits = 0;
      isDone = await run(function* main() {
        const working = yield* spawn(function* work() {
          using postgres = yield* connectPostgres(server.settings);
          yield* postgres.query("LISTEN n");
          yield* postgres.query("SELECT repeat('x', 100000)");
          return true;
        });
        // Each turn of the wait below is one poll of the reactor, in which the task comes a little further.
        for (; working.state !== "completed" && waits < most; waits++) yield* promise(new Promise(setImmediate));
        working.cancel();
        return working.state === "completed";
      });
      if (most > 5_000) throw new Error("the task does not end");
    }
    expect(leftSince(before)).toEqual([]);
  });

  test("tasks/pg-listen.ts prints notifications, and connects again", async () => {
    await using program = Program.start("pg-listen.ts", "--settings", server.settings, "--channel", "loud");
    expect(await program.line()).toBe("listening to loud");
    await withPostgres(server, function* main(postgres) {
      yield* postgres.query("NOTIFY loud, 'hello'");
      expect(yield* promise(program.line())).toMatch(/^loud from \d+: hello$/);
      yield* postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%loud%'");
      expect(yield* promise(program.line())).toBe("listening to loud");
    });
    program.signal("SIGINT");
    expect((await program.end()).exitCode).toBe(130);
  });

  test("a server that is away is told from settings that are none, each in one line", async () => {
    const errors = await run(function* main() {
      const found: Error[] = [];
      for (const settings of ["nonsense", "colour=red", `hostaddr=127.0.0.1 port=${freePort()}`])
        found.push(yield* errorOf(connectPostgres(settings)));
      return found;
    });
    expect(errors.map((error) => (error as PostgresError).code)).toEqual(["22023", "22023", "08001"]);
    expect(errors.map(({ message }) => message.split("\n").length)).toEqual([1, 1, 1]);
    const { exitCode, stderr } = await runToEnd("pg-listen.ts", "--settings", "nonsense", "--channel", "loud");
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: `${errors[0]!.message}\n` });
  });

  test("a server that crashes ends the wait with an error", async () => {
    await using own = await PostgresServer.start();
    await withPostgres(own, function* main(postgres) {
      const waiting = yield* spawn(() => errorOf(postgres.query("SELECT pg_sleep(600)")));
      yield* promise(own.crash());
      expect(yield* join(waiting)).toBeInstanceOf(PostgresError);
    });
  });
});

function withPostgres(server: PostgresServer, body: (postgres: Postgres) => Operation<void>): Promise<void> {
  return run(function* main() {
    using postgres = yield* connectPostgres(server.settings);
    yield* body(postgres);
  });
}

function* errorOf(operation: Operation<unknown>): Operation<Error> {
  try {
    yield* operation;
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected an error");
}
