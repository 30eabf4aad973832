/** `serve`: a server's life in one call. It accepts, gives each connection a task, and ends gracefully. */

import {
  assertInteger,
  assertTime,
  describeValue,
  LimitError,
  SystemError,
  TimeoutError,
  UnexpectedEndError,
} from "./core/errors.ts";
import type { Operation, TaskBody } from "./core/operation.ts";
import type { Scope } from "./core/scope.ts";
import { scope } from "./core/scope-region.ts";
import { shield } from "./core/shield.ts";
import { join } from "./core/task-operations.ts";
import { moveOnAfter, type TimeLimit } from "./core/time-limit.ts";
import { race } from "./flow/race.ts";
import { failureText } from "./host/failure-text.ts";
import { listen, type ListenOptions, type TcpStream } from "./io/tcp.ts";
import { Latch } from "./sync/latch.ts";
import { Semaphore } from "./sync/semaphore.ts";

/** What connections come from: a `TcpListener`, a `UnixListener`, or anything that meets this. */
export interface Acceptor<Connection> {
  /** Suspends the task until there is a connection. */
  accept(): Operation<Connection>;
  /** No more connections come. Does nothing the second time. */
  close(): void;
}

/** What `serve` needs of a connection. */
export interface Closable {
  /** Does nothing the second time. */
  close(): void;
}

/**
 * Serves one connection, as a task of its own. `stopping` is set when the server is to end: who waits for the next request of
 * an idle connection waits for that as well, and ends.
 */
export type ConnectionTask<Connection> = (connection: Connection, stopping: Latch) => Operation<unknown>;

export interface ServeOptions<Connection = TcpStream> {
  /** The server ends gracefully when this has ended, such as `signal("SIGTERM")`; by default only when it is cancelled. */
  readonly until?: TaskBody<unknown> | undefined;
  /**
   * How long the connections have to end by themselves when the server is to end, in milliseconds; then they are cancelled.
   * By default 0. Infinity waits for all of them.
   */
  readonly graceMs?: number | undefined;
  /** How many connections are served at a time; others wait in the backlog. By default as many as come. */
  readonly mostConnections?: number | undefined;
  /**
   * Is told of what the task of a connection throws; what it throws itself ends the server. By default what a peer may do at
   * any time, as to break a connection (`SystemError`, `UnexpectedEndError`, `LimitError`), and a `TimeoutError` are
   * passed over, and everything else is printed to stderr.
   */
  readonly onError?: ((error: unknown, connection: Connection) => void) | undefined;
}

/**
 * Listens, and serves each connection with a task, which is closed when its task has ended. An error of one connection ends
 * that and no other.
 *
 *     await main(() => serve({ port: 7000 }, echo, { graceMs: 10_000 }));
 *
 * When it is cancelled, as by Ctrl-C in `main`, and when `until` has ended, it ends gracefully: it closes the listener, waits
 * for the connections up to `graceMs`, and cancels those that are left, whose `finally` blocks run and are waited for. Whoever
 * cancelled it waits for that. A cancel while it ends already, because `until` has ended, cancels the connections at once.
 *
 * Instead of a place it takes a listener, which it closes at its end: whoever opens it can tell its address. Each Worker of a
 * cluster serves in the same way (`startCluster`).
 * @returns when `until` has ended, and all connections have
 * @throws what `listen` throws, or accepting; what `until` and `onError` throw; TypeError for a task that is no function;
 *   RangeError for a number out of range
 */
export function serve(
  place: ListenOptions,
  task: ConnectionTask<TcpStream>,
  options?: ServeOptions<TcpStream>,
): Operation<void>;
export function serve<Connection extends Closable>(
  listener: Acceptor<Connection>,
  task: ConnectionTask<Connection>,
  options?: ServeOptions<Connection>,
): Operation<void>;
export function* serve<Connection extends Closable>(
  place: ListenOptions | Acceptor<Connection>,
  task: ConnectionTask<Connection>,
  options: ServeOptions<Connection> = {},
): Operation<void> {
  if (typeof task !== "function")
    throw new TypeError(`serve: the task must be a generator function (function*), but is ${describeValue(task)}`);
  const { graceMs = 0, mostConnections = Infinity } = options;
  assertTime("serve: graceMs", graceMs);
  if (mostConnections !== Infinity)
    assertInteger("serve: mostConnections", mostConnections, 1, Number.MAX_SAFE_INTEGER);
  const listener = isAcceptor(place) ? place : ((yield* listen(place)) as unknown as Acceptor<Connection>);
  try {
    yield* new Service(listener, task, graceMs, mostConnections, options).run();
  } finally {
    listener.close();
  }
}

function isAcceptor<Connection>(place: ListenOptions | Acceptor<Connection>): place is Acceptor<Connection> {
  return "accept" in place;
}

class Service<Connection extends Closable> {
  private readonly stopping = new Latch({ name: "the end of the server" });
  /** That of the connections that are left, once the server is to end. */
  private limit: TimeLimit | null = null;
  private readonly seats: Semaphore | null;
  private readonly taskName: string;
  private readonly report: (error: unknown, connection: Connection) => void;

  constructor(
    private readonly listener: Acceptor<Connection>,
    private readonly task: ConnectionTask<Connection>,
    private graceMs: number,
    mostConnections: number,
    private readonly options: ServeOptions<Connection>,
  ) {
    this.seats = mostConnections === Infinity ? null : new Semaphore(mostConnections);
    this.report = options.onError ?? reportUnexpected;
    this.taskName = task.name === "" ? "a connection" : task.name;
  }

  /**
   * A cancel reaches the tasks of this scope at once, but not into the shield: there the connections go on. What sees the
   * cancel is the watcher, which passes it on as a wish.
   */
  *run(): Operation<void> {
    // Nobody else sets it: the watcher then waits until it is cancelled.
    const { until = () => this.stopping.wait() } = this.options;
    yield* scope((service: Scope) => this.open(service, until), { name: "serve" });
  }

  private *open(service: Scope, until: TaskBody<unknown>): Operation<void> {
    yield* service.spawn(() => this.watch(until), { name: "the watcher of a server", daemon: true });
    yield* join(yield* service.spawn(() => shield(() => this.serve()), { name: "a server" }));
  }

  /** Cancelled or not, the end of `until` is the wish to stop. A cancel that comes after that is meant. */
  private *watch(until: TaskBody<unknown>): Operation<void> {
    try {
      if (typeof until === "function") yield* until();
      else yield* until;
    } finally {
      this.stopping.set();
    }
    try {
      yield* new Latch().wait();
    } finally {
      this.graceMs = 0;
      this.limit?.expireAfter(0);
    }
  }

  /** The scope of the connections ends when they have, or when the limit that is set at the end is up. */
  private *serve(): Operation<void> {
    yield* moveOnAfter(Infinity, (limit) => scope((connections: Scope) => this.untilStopped(connections, limit)));
  }

  private *untilStopped(connections: Scope, limit: TimeLimit): Operation<void> {
    yield* race([() => this.welcome(connections), () => this.stopping.wait()]);
    this.listener.close();
    this.limit = limit;
    limit.expireAfter(this.graceMs);
  }

  private *welcome(connections: Scope): Operation<never> {
    for (;;) {
      if (this.seats !== null) yield* this.seats.acquire();
      const connection = yield* this.listener.accept();
      yield* connections.spawn(() => this.attend(connection), { name: this.taskName });
    }
  }

  private *attend(connection: Connection): Operation<void> {
    try {
      yield* this.task(connection, this.stopping);
    } catch (error) {
      this.report(error, connection);
    } finally {
      connection.close();
      this.seats?.release();
    }
  }
}

function reportUnexpected(error: unknown): void {
  if (!PASSED_OVER.some((kind) => error instanceof kind)) console.error(failureText(error));
}

const PASSED_OVER = [SystemError, UnexpectedEndError, LimitError, TimeoutError];
