/**
 * libpq, PostgreSQL's client library, as tasks: its non-blocking calls (https://www.postgresql.org/docs/15/libpq-async.html), and
 * `readable` and `writable` on its socket where it would have to wait. Copy it with libpq-calls.ts, and add what you need.
 */

import { type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import {
  type DescriptorSource,
  Interest,
  moveOnAfter,
  type Operation,
  readable,
  source,
  writable,
} from "../../src/index.ts";
import { cString, type Place, pq, takeMemory, text } from "./libpq-calls.ts";

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
 * @throws PostgresError; its code is `22023` if the settings are none, else of class `08`
 */
export function* connectPostgres(settings: string): Operation<Postgres> {
  checkSettings(settings);
  const connection = pq().PQconnectStart(cString(settings));
  if (connection === null) throw new PostgresError("libpq has no memory for a connection", NO_MEMORY);
  const postgres = new Postgres(connection);
  try {
    yield* postgres.finishConnecting();
    return postgres;
  } finally {
    // A task that fails, or is cancelled here, leaves no connection that nobody has.
    if (!postgres.isConnected) postgres.close();
  }
}

/** A connection. It carries out one statement after the other, so one task at a time uses it. */
export class Postgres implements Disposable {
  private isClosed = false;
  /** The socket, registered for as long as the connection is open: closing ends every wait for it. */
  private watched: DescriptorSource | null = null;
  /** The statement whose results were not all received. */
  private running: string | null = null;

  /** For `connectPostgres`. */
  constructor(private readonly connection: Place) {}

  /** The descriptor; it is libpq's. */
  get socket(): number {
    return pq().PQsocket(this.open);
  }

  get isConnected(): boolean {
    return this.watched !== null;
  }

  /** For `connectPostgres`: PQconnectPoll says what to wait for before it is called again; first it is writing. */
  *finishConnecting(): Operation<void> {
    for (let wanted: number = Polling.WRITING; wanted !== Polling.OK; wanted = pq().PQconnectPoll(this.open)) {
      if (pq().PQstatus(this.open) === CONNECTION_BAD || wanted === Polling.FAILED)
        throw this.lastError(CANNOT_CONNECT);
      // The socket may be another after each call, for the next address of a name.
      yield* wanted === Polling.READING ? readable(this.socket) : writable(this.socket);
    }
    pq().PQsetnonblocking(this.open, 1);
    this.watched = yield* source(this.socket);
  }

  /**
   * Runs a statement, with values for its `$1`, `$2` and so on. If the task is cancelled meanwhile, the server goes on with the
   * statement: call `cancelQuery` before the next one, or close the connection.
   * @throws PostgresError; the connection can be used again
   */
  *query(statement: string, values: readonly (string | number | null)[] = []): Operation<QueryResult> {
    this.send(statement, values);
    yield* this.flush();
    return this.onlyResult(yield* this.results(), statement);
  }

  /** Waits for the next notification on a channel that `LISTEN` was called for. @throws PostgresError */
  *notification(): Operation<Notification> {
    for (;;) {
      const found = this.takeNotification();
      if (found !== null) return found;
      yield* this.waitForInput();
    }
  }

  /**
   * Asks the server to give up what it is doing for this connection, and waits until it has; for a statement that was cancelled
   * at a deadline. PQcancel blocks for a round trip to the server (libpq 17 has one that does not).
   * @throws PostgresError
   */
  *cancelQuery(): Operation<void> {
    for (let isOver: boolean | undefined = false; isOver !== true;) {
      this.sendCancel();
      isOver = yield* moveOnAfter(CANCEL_AGAIN_MS, () => this.dropResults());
    }
  }

  /**
   * Sends rows with `COPY … FROM STDIN`; waits while the server takes no more. If `chunks` throws, or the task is cancelled, the
   * server takes none of them.
   * @returns how many rows the server has taken
   * @throws PostgresError; what `chunks` throws
   */
  *copyIn(statement: string, chunks: Iterable<Uint8Array>): Operation<number> {
    this.send(statement, []);
    yield* this.flush();
    yield* this.expect(ResultStatus.COPY_IN, statement);
    let isComplete = false;
    let putBytes = 0;
    try {
      for (const chunk of chunks) {
        this.put(() => pq().PQputCopyData(this.open, chunk, chunk.byteLength));
        putBytes += chunk.byteLength;
        // libpq keeps what the socket does not take, however much it is, so it has to be gone before more comes.
        if (putBytes < MOST_PUT_BYTES) continue;
        yield* this.flush();
        putBytes = 0;
      }
      isComplete = true;
    } finally {
      if (!isComplete && !this.isClosed && pq().PQstatus(this.open) !== CONNECTION_BAD) yield* this.giveUpCopy();
    }
    yield* this.endCopy(null);
    return this.onlyResult(yield* this.results(), statement).count;
  }

  /**
   * Receives rows with `COPY … TO STDOUT`, each as the server writes it, line end included. If `onRow` is an operation, the
   * server is not read from while that waits. If it throws, or the task is cancelled, call `cancelQuery` before the next
   * statement.
   * @throws PostgresError; what `onRow` throws
   */
  *copyOut(statement: string, onRow: (row: Uint8Array) => Operation<void> | void): Operation<void> {
    this.send(statement, []);
    yield* this.flush();
    yield* this.expect(ResultStatus.COPY_OUT, statement);
    for (let row = yield* this.nextRow(); row !== null; row = yield* this.nextRow()) {
      const waits = onRow(row);
      if (waits !== undefined) yield* waits;
    }
    this.onlyResult(yield* this.results(), statement);
  }

  /** Tasks that wait for the connection get a `ClosedError`. Does nothing the second time. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.watched?.close();
    pq().PQfinish(this.connection);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private send(statement: string, values: readonly (string | number | null)[]): void {
    if (this.running !== null && pq().PQstatus(this.open) !== CONNECTION_BAD) {
      const message = `the connection has not finished another statement: ${this.running}; wait for it, or call cancelQuery`;
      throw new PostgresError(message, IN_USE, statement);
    }
    const texts = values.map((value) => (value === null ? null : cString(String(value))));
    held.add(texts);
    const places = BigUint64Array.from(texts.map((text) => (text === null ? 0n : BigInt(ptr(text)))));
    const list = places.length === 0 ? null : places;
    const isSent = pq().PQsendQueryParams(this.open, cString(statement), values.length, null, list, null, null, 0);
    held.delete(texts);
    if (isSent !== 1) throw this.lastError(CONNECTION_GONE, statement);
    this.running = statement;
  }

  private sendCancel(): void {
    const handle = pq().PQgetCancel(this.open);
    if (handle === null) throw this.lastError(CONNECTION_GONE);
    const reason = new Uint8Array(CANCEL_ERROR_BYTES);
    const isSent = pq().PQcancel(handle, reason, reason.byteLength) === 1;
    pq().PQfreeCancel(handle);
    if (!isSent) throw new PostgresError(decoder.decode(reason.subarray(0, reason.indexOf(0))), CONNECTION_GONE);
  }

  /** What did not go out at once goes out while the server reads; and it may have to write meanwhile, so that is read. */
  private *flush(): Operation<void> {
    for (;;) {
      const left = pq().PQflush(this.open);
      if (left === 0) return;
      if (left < 0) throw this.lastError(CONNECTION_GONE);
      yield* this.watched!.ready(Interest.READABLE | Interest.WRITABLE);
      this.consume();
    }
  }

  /** libpq makes room for whatever is put; if it cannot, there is no memory. */
  private put(call: () => number): void {
    if (call() !== 1) throw this.lastError(CONNECTION_GONE);
  }

  /** Else the server would wait for more for ever. What was copied by then is undone. */
  private *giveUpCopy(): Operation<void> {
    yield* this.endCopy(cString("the task gave up"));
    yield* this.dropResults();
  }

  private *endCopy(reason: Uint8Array | null): Operation<void> {
    this.put(() => pq().PQputCopyEnd(this.open, reason));
    yield* this.flush();
  }

  private *nextRow(): Operation<Uint8Array | null> {
    const place = new BigUint64Array(1);
    for (;;) {
      const bytes = pq().PQgetCopyData(this.open, place, 1);
      if (bytes > 0) return takeMemory(Number(place[0]) as Pointer, bytes);
      if (bytes === COPY_AT_END) return null;
      if (bytes === COPY_FAILED) throw this.lastError(CONNECTION_GONE, this.running ?? undefined);
      yield* this.waitForInput();
    }
  }

  private *waitForInput(): Operation<void> {
    yield* this.watched!.readable();
    this.consume();
  }

  /** The connection, for a call: libpq must not be asked for one that is closed. */
  private get open(): Place {
    if (this.isClosed) throw new PostgresError("the connection is closed", CONNECTION_GONE);
    return this.connection;
  }

  private consume(): void {
    if (pq().PQconsumeInput(this.open) !== 1) throw this.lastError(CONNECTION_GONE);
  }

  private *nextResult(): Operation<Place | null> {
    while (pq().PQisBusy(this.open) === 1) yield* this.waitForInput();
    return pq().PQgetResult(this.open);
  }

  /** All results of what was sent last; without that the connection takes no other statement. */
  private *results(): Operation<Place[]> {
    const found: Place[] = [];
    try {
      for (let result = yield* this.nextResult(); result !== null; result = yield* this.nextResult()) {
        found.push(result);
        yield* this.leaveCopy(pq().PQresultStatus(result));
      }
      this.running = null;
      return found.splice(0);
    } finally {
      for (const result of found) pq().PQclear(result);
    }
  }

  private *dropResults(): Operation<true> {
    yield* this.flush();
    for (const result of yield* this.results()) pq().PQclear(result);
    return true;
  }

  /** A COPY that nobody asked for, or nobody wants any more, has no end before its rows have one. */
  private *leaveCopy(status: number): Operation<void> {
    if (status === ResultStatus.COPY_IN) yield* this.endCopy(cString("no rows were meant to be sent"));
    if (status === ResultStatus.COPY_OUT) while ((yield* this.nextRow()) !== null);
  }

  private *expect(status: number, statement: string): Operation<void> {
    const result = yield* this.nextResult();
    if (result === null) throw new PostgresError("the statement has no result", NO_RESULT, statement);
    const found = pq().PQresultStatus(result);
    const error = found === status ? null : (resultError(result, statement) ?? noSuchCopy(statement));
    pq().PQclear(result);
    if (error === null) return;
    yield* this.leaveCopy(found);
    yield* this.dropResults();
    throw error;
  }

  private onlyResult(results: readonly Place[], statement: string): QueryResult {
    try {
      for (const result of results) {
        const error = resultError(result, statement) ?? copyError(result, statement);
        if (error !== null) throw error;
      }
      const last = results.at(-1);
      return last === undefined ? { rows: [], count: 0 } : readResult(last);
    } finally {
      for (const result of results) pq().PQclear(result);
    }
  }

  private takeNotification(): Notification | null {
    const place = pq().PQnotifies(this.open);
    if (place === null) return null;
    // struct pgNotify: char *relname; int be_pid; char *extra; …
    const fields = new DataView(toArrayBuffer(Number(place) as Pointer, 0, NOTIFY_BYTES));
    const textAt = (offset: number): string => text(fields.getBigUint64(offset, true));
    const found = { channel: textAt(0), payload: textAt(16), senderProcessId: fields.getInt32(8, true) };
    pq().PQfreemem(place);
    return found;
  }

  private lastError(code: string, statement?: string): PostgresError {
    return new PostgresError(inOneLine(text(pq().PQerrorMessage(this.open))), code, statement);
  }
}

/** Its messages have several lines, and a line's end. */
function inOneLine(message: string): string {
  return message.trim().replaceAll(/\s*\n\s*/g, " ");
}

/** To connect would fail for this as well, but not so that it can be told from a server that is away. */
function checkSettings(settings: string): void {
  const reason = new BigUint64Array(1);
  const options = pq().PQconninfoParse(cString(settings), reason);
  if (options !== null) return pq().PQconninfoFree(options);
  const message = text(reason[0]!);
  pq().PQfreemem(reason[0]!);
  throw new PostgresError(`the settings are none of libpq's: ${inOneLine(message)}`, BAD_SETTINGS);
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

/** Its rows were not sent, or are gone. */
function copyError(result: Place, statement: string): PostgresError | null {
  const status = pq().PQresultStatus(result);
  if (status !== ResultStatus.COPY_IN && status !== ResultStatus.COPY_OUT) return null;
  return new PostgresError("a COPY that sends or receives rows is for copyIn and copyOut", NO_RESULT, statement);
}

function noSuchCopy(statement: string): PostgresError {
  return new PostgresError("the statement is no such COPY", NO_RESULT, statement);
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

/** What the library looks at by way of pointers, which alone would not keep it, during a call. */
const held = new Set<readonly unknown[]>();

const decoder = new TextDecoder();

const Polling = { FAILED: 0, READING: 1, WRITING: 2, OK: 3 } as const;
const CONNECTION_BAD = 1;
const ResultStatus = { COPY_OUT: 3, COPY_IN: 4, BAD_RESPONSE: 5, FATAL_ERROR: 7 } as const;
const COPY_AT_END = -1;
const COPY_FAILED = -2;

/** Of rows that are on their way, as much as may wait in memory. */
const MOST_PUT_BYTES = 65_536;

/** A server that has not begun with the statement overhears the request to give it up. */
const CANCEL_AGAIN_MS = 100;

const NOTIFY_BYTES = 24;
const CANCEL_ERROR_BYTES = 256;

/** Field codes of PQresultErrorField. */
const SQLSTATE_FIELD = "C".charCodeAt(0);
const MESSAGE_FIELD = "M".charCodeAt(0);

/** SQLSTATEs for what libpq itself reports. */
const BAD_SETTINGS = "22023";
const CANNOT_CONNECT = "08001";
const CONNECTION_GONE = "08006";
const NO_MEMORY = "53200";
const IN_USE = "55006";
const NO_RESULT = "02000";
