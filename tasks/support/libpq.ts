/**
 * libpq, PostgreSQL's client library, as tasks: its non-blocking calls (https://www.postgresql.org/docs/15/libpq-async.html), and
 * `readable` and `writable` on its socket where it would have to wait. Copy it, and add what you need.
 */

import { CString, dlopen, type FFIFunction, type Library, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { Interest, type Operation, ready, readable, writable } from "../../src/index.ts";

const FUNCTIONS = {
  PQconnectStart: { args: ["ptr"], returns: "ptr" },
  PQconnectPoll: { args: ["ptr"], returns: "i32" },
  PQstatus: { args: ["ptr"], returns: "i32" },
  PQsocket: { args: ["ptr"], returns: "i32" },
  PQerrorMessage: { args: ["ptr"], returns: "ptr" },
  PQsetnonblocking: { args: ["ptr", "i32"], returns: "i32" },
  PQfinish: { args: ["ptr"], returns: "void" },
  PQsendQueryParams: { args: ["ptr", "ptr", "i32", "ptr", "ptr", "ptr", "ptr", "i32"], returns: "i32" },
  PQflush: { args: ["ptr"], returns: "i32" },
  PQconsumeInput: { args: ["ptr"], returns: "i32" },
  PQisBusy: { args: ["ptr"], returns: "i32" },
  PQgetResult: { args: ["ptr"], returns: "ptr" },
  PQclear: { args: ["ptr"], returns: "void" },
  PQresultStatus: { args: ["ptr"], returns: "i32" },
  PQresultErrorField: { args: ["ptr", "i32"], returns: "ptr" },
  PQntuples: { args: ["ptr"], returns: "i32" },
  PQnfields: { args: ["ptr"], returns: "i32" },
  PQfname: { args: ["ptr", "i32"], returns: "ptr" },
  PQgetvalue: { args: ["ptr", "i32", "i32"], returns: "ptr" },
  PQgetisnull: { args: ["ptr", "i32", "i32"], returns: "i32" },
  PQcmdTuples: { args: ["ptr"], returns: "ptr" },
  PQnotifies: { args: ["ptr"], returns: "ptr" },
  PQfreemem: { args: ["ptr"], returns: "void" },
  PQputCopyData: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQputCopyEnd: { args: ["ptr", "ptr"], returns: "i32" },
  PQgetCopyData: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQgetCancel: { args: ["ptr"], returns: "ptr" },
  PQcancel: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQfreeCancel: { args: ["ptr"], returns: "void" },
} as const satisfies Record<string, FFIFunction>;

let library: Library<typeof FUNCTIONS> | undefined;

/** The library's functions; it is loaded with the first call. */
function pq(): Library<typeof FUNCTIONS>["symbols"] {
  library ??= dlopen(process.platform === "darwin" ? "libpq.dylib" : "libpq.so.5", FUNCTIONS);
  return library.symbols;
}

/** An address of memory that is libpq's. */
type Place = Pointer | bigint;

/** What the server, or libpq, has refused. */
export class PostgresError extends Error {
  override readonly name = "PostgresError";

  constructor(
    message: string,
    /** The SQLSTATE, such as `42P01`; `08006` if the connection is gone. */
    readonly code: string,
    /** The statement that failed, if it was one. */
    readonly statement?: string,
  ) {
    super(statement === undefined ? message : `${message} (in: ${statement})`);
  }
}

/** One row: its columns by name, as the server writes them. */
export type Row = Readonly<Record<string, string | null>>;

export interface QueryResult {
  readonly rows: readonly Row[];
  /** How many rows the statement has changed, or returned. */
  readonly count: number;
}

/** What another connection has sent with NOTIFY. */
export interface Notification {
  readonly channel: string;
  readonly payload: string;
  /** The process of the server that sent it. */
  readonly senderProcessId: number;
}

/**
 * Connects, without blocking the thread.
 * @param settings as libpq takes them: `host=127.0.0.1 port=5432 dbname=postgres user=postgres`. A host that is a name is
 *   looked up by libpq, which blocks: give `hostaddr` to avoid that.
 * @throws PostgresError
 */
export function* connectPostgres(settings: string): Operation<Postgres> {
  const connection = pq().PQconnectStart(cString(settings));
  if (connection === null) throw new PostgresError("libpq has no memory for a connection", NO_MEMORY);
  const postgres = new Postgres(connection);
  try {
    yield* postgres.finishConnecting();
    return postgres;
  } catch (error) {
    postgres.close();
    throw error;
  } finally {
    // A task that is cancelled here leaves no connection that nobody has.
    if (!postgres.isConnected) postgres.close();
  }
}

export class Postgres implements Disposable {
  isConnected = false;
  private isClosed = false;

  /** For `connectPostgres`. */
  constructor(private readonly connection: Place) {}

  /** The descriptor; it is libpq's. */
  get socket(): number {
    return pq().PQsocket(this.connection);
  }

  /** For `connectPostgres`: PQconnectPoll says what to wait for before it is called again; first it is writing. */
  *finishConnecting(): Operation<void> {
    for (let wanted: number = Polling.WRITING; wanted !== Polling.OK; wanted = pq().PQconnectPoll(this.connection)) {
      if (pq().PQstatus(this.connection) === CONNECTION_BAD || wanted === Polling.FAILED)
        throw this.lastError(CANNOT_CONNECT);
      // The socket may be another after each call, for the next address of a name.
      yield* wanted === Polling.READING ? readable(this.socket) : writable(this.socket);
    }
    pq().PQsetnonblocking(this.connection, 1);
    this.isConnected = true;
  }

  /**
   * Runs a statement, with values for its `$1`, `$2` and so on.
   * @throws PostgresError; the connection can be used again
   */
  *query(statement: string, values: readonly (string | number | null)[] = []): Operation<QueryResult> {
    this.send(statement, values);
    yield* this.flush();
    return this.onlyResult(yield* this.results(), statement);
  }

  /** Waits for the next notification on a channel that `LISTEN` was called for. */
  *notification(): Operation<Notification> {
    for (;;) {
      const found = this.takeNotification();
      if (found !== null) return found;
      yield* readable(this.socket);
      this.consume();
    }
  }

  /**
   * Asks the server to give up what it is doing for this connection, and waits until it has; for a query that was cancelled at
   * a deadline. PQcancel blocks for a round trip to the server (libpq 17 has one that does not).
   */
  *cancelQuery(): Operation<void> {
    const handle = pq().PQgetCancel(this.connection);
    if (handle === null) throw this.lastError(CONNECTION_GONE);
    const reason = new Uint8Array(CANCEL_ERROR_BYTES);
    const isSent = pq().PQcancel(handle, reason, reason.byteLength) === 1;
    pq().PQfreeCancel(handle);
    if (!isSent) throw new PostgresError(new CString(ptr(reason)).toString(), CONNECTION_GONE);
    for (const result of yield* this.results()) pq().PQclear(result);
  }

  /**
   * Sends rows with `COPY … FROM STDIN`; waits while the server takes no more.
   * @returns how many rows the server has taken
   */
  *copyIn(statement: string, chunks: Iterable<Uint8Array>): Operation<number> {
    this.send(statement, []);
    yield* this.flush();
    yield* this.expect(ResultStatus.COPY_IN, statement);
    let isComplete = false;
    try {
      for (const chunk of chunks)
        yield* this.untilTaken(() => pq().PQputCopyData(this.connection, chunk, chunk.byteLength));
      isComplete = true;
    } finally {
      if (!isComplete && pq().PQstatus(this.connection) !== CONNECTION_BAD) yield* this.giveUpCopy();
    }
    yield* this.endCopy(null);
    return this.onlyResult(yield* this.results(), statement).count;
  }

  /** Receives rows with `COPY … TO STDOUT`, each as the server writes it, line end included. */
  *copyOut(statement: string, onRow: (row: Uint8Array) => void): Operation<void> {
    this.send(statement, []);
    yield* this.flush();
    yield* this.expect(ResultStatus.COPY_OUT, statement);
    const place = new BigUint64Array(1);
    for (;;) {
      const bytes = pq().PQgetCopyData(this.connection, place, 1);
      if (bytes === COPY_AT_END) break;
      if (bytes === COPY_FAILED) throw this.lastError(CONNECTION_GONE, statement);
      if (bytes === 0) yield* this.waitForInput();
      else onRow(takeMemory(Number(place[0]) as Pointer, bytes));
    }
    this.onlyResult(yield* this.results(), statement);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    pq().PQfinish(this.connection);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private send(statement: string, values: readonly (string | number | null)[]): void {
    if (this.isClosed) throw new PostgresError("the connection is closed", CONNECTION_GONE);
    const texts = values.map((value) => (value === null ? null : cString(String(value))));
    const places = BigUint64Array.from(texts.map((text) => (text === null ? 0n : BigInt(ptr(text)))));
    const list = places.length === 0 ? null : places;
    const isSent = pq().PQsendQueryParams(
      this.connection,
      cString(statement),
      values.length,
      null,
      list,
      null,
      null,
      0,
    );
    if (isSent !== 1) throw this.lastError(CONNECTION_GONE, statement);
  }

  /** What did not go out at once goes out while the server reads; and it may have to write meanwhile, so that is read. */
  private *flush(): Operation<void> {
    for (;;) {
      const left = pq().PQflush(this.connection);
      if (left === 0) return;
      if (left < 0) throw this.lastError(CONNECTION_GONE);
      yield* ready(this.socket, Interest.READABLE | Interest.WRITABLE);
      this.consume();
    }
  }

  private *untilTaken(put: () => number): Operation<void> {
    for (let taken = put(); taken !== 1; taken = put()) {
      if (taken < 0) throw this.lastError(CONNECTION_GONE);
      yield* writable(this.socket);
    }
  }

  /** Else the server would wait for more for ever. What was copied by then is undone. */
  private *giveUpCopy(): Operation<void> {
    yield* this.endCopy(cString("the task gave up"));
    for (const result of yield* this.results()) pq().PQclear(result);
  }

  private *endCopy(reason: Uint8Array | null): Operation<void> {
    yield* this.untilTaken(() => pq().PQputCopyEnd(this.connection, reason));
    yield* this.flush();
  }

  private *waitForInput(): Operation<void> {
    yield* readable(this.socket);
    this.consume();
  }

  private consume(): void {
    if (pq().PQconsumeInput(this.connection) !== 1) throw this.lastError(CONNECTION_GONE);
  }

  private *nextResult(): Operation<Place | null> {
    while (pq().PQisBusy(this.connection) === 1) yield* this.waitForInput();
    return pq().PQgetResult(this.connection);
  }

  /** All results of what was sent last; without that the connection takes no other statement. */
  private *results(): Operation<Place[]> {
    const found: Place[] = [];
    try {
      for (let result = yield* this.nextResult(); result !== null; result = yield* this.nextResult())
        found.push(result);
      return found.splice(0);
    } finally {
      for (const result of found) pq().PQclear(result);
    }
  }

  private *expect(status: number, statement: string): Operation<void> {
    const result = yield* this.nextResult();
    if (result === null) throw new PostgresError("the statement has no result", NO_RESULT, statement);
    const found = pq().PQresultStatus(result);
    if (found === status) return pq().PQclear(result);
    const error =
      resultError(result, statement) ?? new PostgresError("the statement is no such COPY", NO_RESULT, statement);
    pq().PQclear(result);
    for (const other of yield* this.results()) pq().PQclear(other);
    throw error;
  }

  private onlyResult(results: readonly Place[], statement: string): QueryResult {
    try {
      for (const result of results) {
        const error = resultError(result, statement);
        if (error !== null) throw error;
      }
      const last = results.at(-1);
      return last === undefined ? { rows: [], count: 0 } : readResult(last);
    } finally {
      for (const result of results) pq().PQclear(result);
    }
  }

  private takeNotification(): Notification | null {
    const place = pq().PQnotifies(this.connection);
    if (place === null) return null;
    // struct pgNotify: char *relname; int be_pid; char *extra; …
    const fields = new DataView(toArrayBuffer(Number(place) as Pointer, 0, NOTIFY_BYTES));
    const textAt = (offset: number): string =>
      new CString(Number(fields.getBigUint64(offset, true)) as Pointer).toString();
    const found = { channel: textAt(0), payload: textAt(16), senderProcessId: fields.getInt32(8, true) };
    pq().PQfreemem(place);
    return found;
  }

  private lastError(code: string, statement?: string): PostgresError {
    return new PostgresError(text(pq().PQerrorMessage(this.connection)).trim(), code, statement);
  }
}

function resultError(result: Place, statement: string): PostgresError | null {
  const status = pq().PQresultStatus(result);
  if (status !== ResultStatus.FATAL_ERROR && status !== ResultStatus.BAD_RESPONSE) return null;
  const code = text(pq().PQresultErrorField(result, SQLSTATE_FIELD)) || CONNECTION_GONE;
  return new PostgresError(
    text(pq().PQresultErrorField(result, MESSAGE_FIELD)) || "the connection broke",
    code,
    statement,
  );
}

function readResult(result: Place): QueryResult {
  const names = Array.from({ length: pq().PQnfields(result) }, (_, column) => text(pq().PQfname(result, column)));
  const readRow = (row: number): Row =>
    Object.fromEntries(
      names.map((name, column) => {
        const isNull = pq().PQgetisnull(result, row, column) === 1;
        return [name, isNull ? null : text(pq().PQgetvalue(result, row, column))];
      }),
    );
  const rows = Array.from({ length: pq().PQntuples(result) }, (_, row) => readRow(row));
  return { rows, count: Number(text(pq().PQcmdTuples(result)) || rows.length) };
}

/** The bytes of memory that libpq has allocated, which is freed. */
function takeMemory(place: Place, bytes: number): Uint8Array {
  const copy = new Uint8Array(toArrayBuffer(Number(place) as Pointer, 0, bytes)).slice();
  pq().PQfreemem(place);
  return copy;
}

function text(place: Place | null): string {
  return place === null ? "" : new CString(Number(place) as Pointer).toString();
}

/** Held by the caller for as long as the library may look at it, which is the call. */
function cString(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

const Polling = { FAILED: 0, READING: 1, WRITING: 2, OK: 3 } as const;
const CONNECTION_BAD = 1;
const ResultStatus = { COPY_OUT: 3, COPY_IN: 4, BAD_RESPONSE: 5, FATAL_ERROR: 7 } as const;
const COPY_AT_END = -1;
const COPY_FAILED = -2;
const NOTIFY_BYTES = 24;
const CANCEL_ERROR_BYTES = 256;

/** Field codes of PQresultErrorField. */
const SQLSTATE_FIELD = "C".charCodeAt(0);
const MESSAGE_FIELD = "M".charCodeAt(0);

/** SQLSTATEs for what libpq itself reports. */
const CANNOT_CONNECT = "08001";
const CONNECTION_GONE = "08006";
const NO_MEMORY = "53200";
const NO_RESULT = "02000";
