/**
 * The executor: the scheduler that resumes tasks at their suspend points when what they wait for has come.
 *
 * It works in turns. A turn resumes the tasks that are ready, fires the deadlines that have come, and asks the driver
 * what became ready, again and again until nothing is left to do; then it parks. A turn is bounded in time and in
 * resumes, after which the host's event loop has its own. With `blockOn` there is no host: the thread blocks in the
 * driver's poll.
 */

import type { Driver, DriverClient } from "./driver.ts";
import { DEFAULT_CLEANUP_MS } from "./cleanup-timer.ts";
import { assertTime, CancelledError, DeadlockError, UnsupportedError } from "./errors.ts";
import { DEFAULT_HOG_MS, HogWatch } from "./hog-watch.ts";
import { Instrument, type InstrumentHooks } from "./instrument.ts";
import { openBody, type TaskBody } from "./operation.ts";
import { ReadyQueue, type TaskQueue } from "./ready-queue.ts";
import type { Scheduler } from "./scheduler.ts";
import { Scope } from "./scope.ts";
import { Delivery, Source } from "./source.ts";
import { spawnSite } from "./spawn-site.ts";
import { type SpawnOptions, Task, type TaskOptions } from "./task.ts";
import { snapshotOf, type TaskSnapshot, tasksWithin } from "./task-tree.ts";
import { Timers } from "./timers.ts";

export interface BlockOptions extends TaskOptions {
  /**
   * How long the clean-up of a cancelled task may take, in milliseconds, before its wait is ended with a
   * `CleanupTimeoutError`; 5,000 by default, Infinity for no limit.
   */
  readonly cleanupMs?: number | undefined;
}

export interface RunOptions extends BlockOptions {
  /**
   * Cancels the main task and all others of the run when it is aborted. The promise then rejects with the signal's
   * reason.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Rejects with a `DeadlockError` when every task waits and nothing is armed that could wake one: no descriptor, no
   * deadline, no `promise` and no `park`. Only for a run whose channels and locks no code outside of tasks feeds, which
   * could come later. `blockOn` does so always.
   */
  readonly detectDeadlock?: boolean | undefined;
}

export interface ExecutorOptions {
  /** What keeps the tasks that are ready; first come, first served by default. */
  readonly readyQueue?: TaskQueue | undefined;
  /**
   * A task that keeps the thread for longer than that, in milliseconds, is warned of by name; 100 by default, Infinity for
   * never.
   */
  readonly hogMs?: number | undefined;
}

export class Executor implements Scheduler, DriverClient {
  readonly timers = new Timers();
  interestCount = 0;
  hostWaitCount = 0;
  nowNs: number;
  instrument: Instrument | null = null;

  private readonly readyTasks: TaskQueue;
  private readonly hogWatch: HogWatch;
  private readonly scopes = new Set<Scope>();
  /** Those of the scopes that are told if all tasks wait and none can be woken. */
  private readonly closedScopes = new Set<Scope>();
  private readonly looseTasks = new Scope(null, DEFAULT_CLEANUP_MS, "the executor");
  private readonly foreignSources = new Map<number, Source>();
  private nextTaskId = 1;
  private isTurning = false;
  private isTurnScheduled = false;
  private isBlockingNow = false;
  private isAbandoned = false;
  /** Deadlines alone do not wake the thread before that. */
  private restsUntilNs = 0;
  /** How many turns were scheduled ahead of the host's event loop since it last had its own. */
  private turnsAheadOfHost = 0;

  /** @throws an Error if the driver serves another executor */
  constructor(
    readonly driver: Driver,
    { readyQueue = new ReadyQueue(), hogMs = DEFAULT_HOG_MS }: ExecutorOptions = {},
  ) {
    driver.attach(this);
    this.readyTasks = readyQueue;
    this.nowNs = driver.now();
    this.hogWatch = new HogWatch(
      hogMs,
      () => this.readClock(),
      driver.threadCpuNs === undefined ? undefined : () => driver.threadCpuNs!(),
      (ids, tookNs) => this.warnOfHog(ids, tookNs),
    );
    this.looseTasks.waitUntilEmpty(() => this.reportLooseError());
  }

  get isBlocking(): boolean {
    return this.isBlockingNow;
  }

  /**
   * Runs a task beside the host's event loop. The promise settles when the task and all that were spawned in it have
   * ended: with the task's value; with the error of the task, or of one that nobody joined (an `AggregateError` if there are
   * several); with the signal's reason if it was aborted, or a `CancelledError` if the task was cancelled otherwise.
   * Rejects with a `TypeError` if `body` is neither a generator function nor an operation.
   */
  run<T>(body: TaskBody<T>, options: RunOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { signal } = options;
      signal?.throwIfAborted();
      const scope = rootScope(options, "run");
      scope.waitUntilEmpty(() => {
        this.scopes.delete(scope);
        this.closedScopes.delete(scope);
        signal?.removeEventListener("abort", abort);
        if (this.isAbandoned) return;
        try {
          resolve(takeOutcome(scope, main));
        } catch (error) {
          this.letHostNotice();
          reject(error instanceof CancelledError && signal?.aborted === true ? signal.reason : error);
        }
      });
      const abort = (): void => scope.cancel(signal?.reason);
      const main = this.start(scope, body, options, "run", spawnSite());
      this.scopes.add(scope);
      if (options.detectDeadlock === true) this.closedScopes.add(scope);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /**
   * Runs a task and blocks the thread until it and all that were spawned in it have ended. Nothing of the host runs
   * meanwhile: no promise settles, no timer fires.
   * @throws what the task throws, or one that nobody joined (an `AggregateError` if there are several); `DeadlockError` if
   *   every task waits and nothing can come; a `TypeError` if `body` is neither a generator function nor an operation
   */
  blockOn<T>(body: TaskBody<T>, options: BlockOptions = {}): T {
    this.refuseNesting();
    const scope = rootScope(options, "blockOn");
    const main = this.start(scope, body, options, "blockOn", spawnSite());
    this.scopes.add(scope);
    try {
      this.block(scope);
    } finally {
      this.scopes.delete(scope);
    }
    return takeOutcome(scope, main);
  }

  /** Starts a task outside any run: it runs beside the host's event loop, or while `blockOnAll` blocks. */
  spawn<T>(body: TaskBody<T>, options: TaskOptions = {}): Task<T> {
    return this.start(this.looseTasks, body, options, "spawn", spawnSite());
  }

  /**
   * Blocks the thread until every task that `spawn` started has ended, and those that they spawned.
   * @throws the error of a task that failed while no other was joining it, as `blockOn` does
   */
  blockOnAll(): void {
    this.refuseNesting();
    if (!this.looseTasks.isEmpty) this.block(this.looseTasks);
    if (this.looseTasks.hasFailed) throw this.looseTasks.takeError();
  }

  /**
   * Cancels all tasks and settles no promise of `run` any more: for a program that is replaced as it runs (`bun
   * --hot`), so that nobody is left to hear of it.
   */
  abandon(): void {
    this.isAbandoned = true;
    for (const scope of this.roots()) scope.cancel("the program was loaded anew");
  }

  /** The live tasks: of each run its main task with all below it, the oldest first. */
  tasks(): TaskSnapshot[] {
    return this.roots().flatMap((scope) => snapshotOf(scope, this.driver.now()));
  }

  /** Tells the hooks of what the tasks do from now on, until the answer is called. */
  addInstrument(hooks: InstrumentHooks): () => void {
    const instrument = (this.instrument ??= new Instrument());
    instrument.add(hooks);
    return () => {
      if (instrument.remove(hooks) && this.instrument === instrument) this.instrument = null;
    };
  }

  /** Part of `Scheduler`: tasks start others with the operation `spawn`. */
  startChild<T>(
    spawner: Task<unknown>,
    scope: Scope,
    body: TaskBody<T>,
    options: SpawnOptions,
    spawnedAt: string | null,
  ): Task<T> {
    const child = this.start(scope, body, options, "spawn", spawnedAt);
    child.locals = spawner.locals;
    child.begin();
    if (scope.isClosing) child.cancel(scope.reason);
    return child;
  }

  /**
   * Part of `Scheduler`. A source that nobody waits for is not registered, so the table is only as long as the highest
   * descriptor.
   */
  foreignSource(descriptor: number): Source {
    let source = this.foreignSources.get(descriptor);
    if (source === undefined || source.isClosed) {
      source = new Source(descriptor, Delivery.ONE_SHOT, { label: `descriptor ${descriptor}` });
      this.foreignSources.set(descriptor, source);
    }
    return source;
  }

  /** Part of `Scheduler`. */
  enqueue(task: Task<unknown>): void {
    this.readyTasks.push(task);
    if (!this.isTurning && !this.isTurnScheduled) this.scheduleTurnSoon();
  }

  /** Part of `Scheduler`. */
  timersChanged(): void {
    if (!this.isTurning && !this.isTurnScheduled) this.scheduleTurnSoon();
  }

  /** Part of `DriverClient`. */
  onReady(): void {
    this.isTurnScheduled = false;
    if (this.isTurning) return;
    this.isTurning = true;
    try {
      this.turn();
    } finally {
      this.isTurning = false;
    }
  }

  /** Part of `DriverClient`: the driver has told the sources' waiters itself. */
  onFailure(error: Error): void {
    this.timers.failAll(error);
  }

  private turn(): void {
    const endNs = this.readClock() + TURN_NS;
    let resumesLeft = RESUMES_PER_TURN;
    this.hogWatch.begin(this.nowNs);
    for (;;) {
      resumesLeft -= this.resumeReady();
      const nowNs = this.readClock();
      this.hogWatch.look(nowNs);
      // What is ready comes before the limits of time: whose wait is over has not run out of it.
      if (this.interestCount > 0) this.driver.poll(0);
      this.expireTimers(nowNs);
      if (nowNs >= endNs || resumesLeft <= 0) return this.scheduleTurnAfterHost();
      if (this.closedScopes.size > 0) this.detectDeadlock();
      if (this.readyTasks.isEmpty && this.driver.park(this.nextWakeNs, this.isWaiting)) return;
    }
  }

  /** Resumes the ready tasks, up to a number; returns how many. */
  private resumeReady(): number {
    let count = 0;
    while (count < RESUMES_BETWEEN_POLLS) {
      const task = this.readyTasks.shift();
      if (task === null) break;
      task.step();
      this.hogWatch.resumed(task.id);
      count++;
    }
    return count;
  }

  private warnOfHog(ids: readonly number[], tookNs: number): void {
    const names = this.namesOf(ids);
    const shown = names.slice(0, SHOWN_NAMES).join(", ");
    const rest = names.length - SHOWN_NAMES;
    const who = names.length === 1 ? shown : `one of ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
    this.driver.system?.warn(
      `${who} kept the thread for ${Math.round(tookNs / NS_PER_MS)} ms without a suspend point, and all others waited: ` +
        "let it yield* yieldNow() now and then, or do the work in a Worker",
    );
  }

  /** Tasks that have ended since are known by their number only. */
  private namesOf(ids: readonly number[]): string[] {
    const names = new Map(ids.map((id) => [id, `task #${id}`]));
    for (const task of this.roots().flatMap((scope) => [...tasksWithin(scope)])) {
      if (names.has(task.id)) names.set(task.id, task.name);
    }
    return [...names.values()];
  }

  private readClock(): number {
    this.nowNs = this.driver.now();
    return this.nowNs;
  }

  /**
   * After a waking that fired many, the next one waits for as many again: the slack is spent only where it spares
   * wakings.
   */
  private expireTimers(nowNs: number): void {
    if (this.timers.expire(nowNs) >= DENSE_DEADLINES) this.restsUntilNs = nowNs + (this.driver.timerSlackNs ?? 0);
  }

  private get nextWakeNs(): number {
    return Math.max(this.timers.nextDeadlineNs, this.restsUntilNs);
  }

  private get isWaiting(): boolean {
    return this.interestCount > 0 || this.timers.size > 0;
  }

  /**
   * A turn that the host asked for (a promise settled, a timer called `cancel`) begins as soon as the host's code has
   * returned. A chain of such turns would starve the host's timers, so every so often one waits for the host's loop.
   */
  private scheduleTurnSoon(): void {
    if (this.isBlockingNow) return;
    if (++this.turnsAheadOfHost > TURNS_AHEAD_OF_HOST) return this.scheduleTurnAfterHost();
    this.isTurnScheduled = true;
    this.driver.schedule(false);
  }

  private scheduleTurnAfterHost(): void {
    this.turnsAheadOfHost = 0;
    this.isTurnScheduled = true;
    this.driver.schedule(true);
  }

  /**
   * Bun 1.4.5 ends a program for an unhandled rejection at the next turn of its event loop, and after a turn of ours
   * there may be none: the program would hang.
   */
  private letHostNotice(): void {
    if (!this.isBlockingNow) this.scheduleTurnAfterHost();
  }

  private block(scope: Scope): void {
    this.isTurning = true;
    this.isBlockingNow = true;
    this.hogWatch.begin(this.readClock());
    try {
      while (!scope.isEmpty) this.advance(scope);
    } finally {
      this.isBlockingNow = false;
      this.isTurning = false;
      if (!this.readyTasks.isEmpty) this.scheduleTurnSoon();
    }
  }

  private refuseNesting(): void {
    if (!this.isTurning) return;
    throw new UnsupportedError(
      "a task cannot block on others of its own executor: use yield* join(task), or the function blockOn",
    );
  }

  /** One round of a blocked thread: it waits in the driver only if no task is ready. */
  private advance(scope: Scope): void {
    this.resumeReady();
    if (scope.isEmpty) return;
    const nowNs = this.readClock();
    this.hogWatch.look(nowNs);
    // As in a turn: what is ready comes before the limits of time.
    if (this.interestCount > 0 && this.timers.nextDeadlineNs <= nowNs) this.driver.poll(0);
    this.expireTimers(nowNs);
    if (!this.readyTasks.isEmpty) {
      if (this.interestCount > 0) this.driver.poll(0);
    } else if (this.isWaiting) {
      this.driver.poll(this.nextWakeNs - nowNs);
      this.hogWatch.begin(this.readClock());
    } else this.breakDeadlock(scope);
  }

  /** A scope is told once: if its tasks do not end even so, there is nothing else to tell. */
  private detectDeadlock(): void {
    if (!this.readyTasks.isEmpty || this.isWaiting || this.hostWaitCount > 0) return;
    for (const scope of this.closedScopes) {
      this.closedScopes.delete(scope);
      if (!scope.isClosing) this.breakDeadlock(scope);
    }
  }

  /** Cancels the tasks, so that they clean up, and lets the error come out of the scope. */
  private breakDeadlock(scope: Scope): void {
    const wasClosing = scope.isClosing;
    const waits = [...tasksWithin(scope)].map((task) => ({ taskName: task.name, waitsFor: task.waitsFor }));
    scope.fail(DeadlockError.ofAll(waits));
    // They do not end even so: nothing is left but to say what happened.
    if (wasClosing) throw scope.takeError();
  }

  private roots(): Scope[] {
    return [...this.scopes, this.looseTasks];
  }

  private start<T>(
    scope: Scope,
    body: TaskBody<T>,
    options: SpawnOptions,
    caller: string,
    spawnedAt: string | null,
  ): Task<T> {
    const iterator = openBody(body, caller);
    const name = options.name ?? (typeof body === "function" ? body : "");
    const standing = options.daemon === true || options.supervised === true ? options : null;
    const task = new Task<T>(this.nextTaskId++, name, iterator, scope, this, standing, spawnedAt);
    scope.add(task.task);
    this.enqueue(task.task);
    this.instrument?.created(task.task);
    return task;
  }

  /** Outside a run and a `blockOnAll` there is nobody to throw to but the host. */
  private reportLooseError(): void {
    if (this.isBlockingNow || !this.looseTasks.hasFailed) return;
    const error = this.looseTasks.takeError();
    this.letHostNotice();
    // Of what is thrown out of a callback Bun 1.4.5 shows where it was thrown last, of a rejection where it comes from.
    void Promise.reject(error);
  }
}

function takeOutcome<T>(scope: Scope, main: Task<T>): T {
  if (scope.hasFailed) throw scope.takeError();
  if (main.state === "cancelled") throw main.cancelledError();
  return main.value;
}

function rootScope({ cleanupMs = DEFAULT_CLEANUP_MS }: BlockOptions, caller: string): Scope {
  assertTime(`${caller}: cleanupMs`, cleanupMs);
  return new Scope(null, cleanupMs, `the ${caller}`);
}

/** A turn gives way to the host's event loop after this time: long against the loop's own cost, short for whoever waits. */
const TURN_NS = 2_000_000;

/** The same bound for drivers whose clock does not move while tasks run. */
const RESUMES_PER_TURN = 100_000;

/**
 * How many tasks are resumed before the driver is asked again: a poll is a system call, and so costs as much as ten
 * resumes.
 */
const RESUMES_BETWEEN_POLLS = 256;

/** Deadlines that one waking fires are called dense from this number on: the latency of the waking itself gathers a few. */
const DENSE_DEADLINES = 8;

/** How many turns may run ahead of the host's event loop: microtasks would otherwise keep it from its timers. */
const TURNS_AHEAD_OF_HOST = 64;

const NS_PER_MS = 1_000_000;

/** How many tasks a warning names: more would not tell more. */
const SHOWN_NAMES = 3;
