/**
 * Decides what comes next in a virtual world when all its tasks are blocked, and nobody waits to be told so.
 *
 * Facts. The clock may jump to the next deadline when nothing can happen before it. Tasks that are blocked on one
 * another change nothing in that, but what a task waits for from the host (a promise, a callback) takes real time: a
 * clock that jumps meanwhile times out what is well under way, on some machines and on others not. Whether the host,
 * or the test itself, will ever resume a task, nobody can know.
 *
 * Decision. In this order:
 *
 * 1. A deadline is armed, and no task waits for the host: the clock jumps.
 * 2. Somebody outside may still resume a task: one waits for the host or for a descriptor, or the test drives the
 *    world with `settled()` or `advance()`. The world has patience, in real time, and then ends its runs with a
 *    `StalledError`.
 * 3. Nobody can: that is a deadlock, and the runs end with a `DeadlockError` at once.
 */

import { DeadlockError, type TaskWait } from "../core/errors.ts";
import type { Executor } from "../core/executor.ts";
import { formatTree, type TaskSnapshot } from "../core/task-tree.ts";
import { StalledError } from "./stalled-error.ts";
import type { VirtualDriver } from "./virtual-driver.ts";
import type { VirtualRun } from "./virtual-run.ts";

export interface ClockOptions {
  /**
   * Whether the clock jumps to the next deadline when all tasks are blocked, as it does by default. If not, it moves
   * by `advance` alone.
   */
  readonly jumps?: boolean | undefined;
  /**
   * Whether the clock stands still while a task waits for the host (`promise`, `park` and what is made of them), as
   * it does by default. False where what such a task waits for comes from another task of the world, or never.
   */
  readonly waitsForHost?: boolean | undefined;
  /**
   * How long the world waits, in milliseconds of real time, for somebody outside to resume a task, while nothing
   * happens; 2,000 by default. Infinity waits for ever.
   */
  readonly patienceMs?: number | undefined;
  /** How often the clock may jump in a run, so that what repeats for ever comes to an end; 200,000 by default. */
  readonly mostJumps?: number | undefined;
}

export class Clockwork {
  /** Whether the test resumes tasks from outside once it has been told that all are blocked. */
  isDriven = false;
  /** The runs that have not ended. */
  readonly runs = new Set<VirtualRun>();

  readonly jumps: boolean;
  private readonly waitsForHost: boolean;
  private readonly patienceMs: number;
  private readonly mostJumps: number;
  private jumpsLeft: number;
  private patience: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly driver: VirtualDriver,
    private readonly executor: Executor,
    options: ClockOptions,
  ) {
    this.jumps = options.jumps ?? true;
    this.waitsForHost = options.waitsForHost ?? true;
    this.patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
    this.mostJumps = options.mostJumps ?? DEFAULT_MOST_JUMPS;
    this.jumpsLeft = this.mostJumps;
    driver.whenBlocked = () => this.goOn();
  }

  begin(run: VirtualRun): void {
    this.runs.add(run);
    this.jumpsLeft = this.mostJumps;
  }

  end(run: VirtualRun): void {
    this.runs.delete(run);
  }

  private goOn(): void {
    clearTimeout(this.patience);
    const { driver } = this;
    const mayJump = this.mayJump;
    if (driver.quietTurns < MOST_QUIET_TURNS && (this.isDriven || !mayJump)) driver.lookSoon();
    else if (mayJump) this.jump();
    // Tasks outside any run may wait for ever: nobody waits for them.
    else if (this.runs.size === 0) return;
    else if (this.mayBeResumedFromOutside) this.havePatience();
    else this.giveUp(this.deadlock());
  }

  private get mayJump(): boolean {
    const { nextDeadlineNs, nowNs } = this.driver;
    if (nextDeadlineNs <= nowNs) return true;
    return nextDeadlineNs !== Infinity && this.jumps && !(this.waitsForHost && this.executor.hostWaitCount > 0);
  }

  private get mayBeResumedFromOutside(): boolean {
    const { hostWaitCount, interestCount } = this.executor;
    return this.isDriven || hostWaitCount > 0 || interestCount > 0 || this.driver.nextDeadlineNs !== Infinity;
  }

  private jump(): void {
    if (this.jumpsLeft-- > 0) return this.driver.jump();
    this.jumpsLeft = this.mostJumps;
    this.giveUp(new StalledError(this.describeRunaway()));
  }

  private havePatience(): void {
    if (this.patienceMs === Infinity) return;
    const { counts } = this.driver;
    const parks = counts.park;
    this.patience = setTimeout(() => {
      if (counts.park === parks) this.giveUp(new StalledError(this.describeStall()));
    }, this.patienceMs);
  }

  private giveUp(error: Error): void {
    if (this.runs.size === 0) throw error;
    for (const run of this.runs) run.giveUp(error);
    // What is not resumed by that is stuck in its clean-up.
    this.driver.lookSoon();
  }

  private deadlock(): DeadlockError {
    const tasks = this.executor.tasks();
    const message =
      `every task waits, and nothing is armed that could wake one:\n${formatTree(tasks, "  ")}` +
      "(A test that resumes a task from outside says so by awaiting settled() before.)";
    return new DeadlockError(message, [...waitsOf(tasks)]);
  }

  private describeRunaway(): string {
    const nowMs = this.driver.nowNs / NS_PER_MS;
    return (
      `the clock has jumped ${this.mostJumps} times (mostJumps), to ${nowMs} ms, and the run goes on: ` +
      `does something repeat for ever?\n${this.listTasks()}`
    );
  }

  private describeStall(): string {
    const beginning = `nothing has happened for ${this.patienceMs} ms of real time (patienceMs)`;
    return `${beginning}: ${this.whatIsMissing}\n${this.listTasks()}`;
  }

  private get whatIsMissing(): string {
    const { hostWaitCount, interestCount } = this.executor;
    const { nextDeadlineNs } = this.driver;
    if (hostWaitCount > 0 && this.waitsForHost && this.jumps && nextDeadlineNs !== Infinity)
      return (
        "the clock stands still while a task waits for the host; if what it waits for comes from another task, or " +
        "never, use { waitsForHost: false }"
      );
    if (nextDeadlineNs !== Infinity)
      return `the next deadline is at ${nextDeadlineNs / NS_PER_MS} ms, and this clock moves by advance() alone`;
    if (hostWaitCount > 0) return "what a task waits for from the host does not come";
    if (interestCount > 0) return "a task waits for a descriptor that nobody has declared ready";
    return "the test was told by settled() that all tasks are blocked, and has resumed none";
  }

  private listTasks(): string {
    return formatTree(this.executor.tasks(), "  ").trimEnd();
  }
}

function* waitsOf(tasks: readonly TaskSnapshot[]): Generator<TaskWait, void, unknown> {
  for (const { name, waitsFor, children } of tasks) {
    yield { taskName: name, waitsFor };
    yield* waitsOf(children);
  }
}

/** Longer than what a test asks of its host takes, and shorter than the five seconds that `bun test` gives a test. */
const DEFAULT_PATIENCE_MS = 2_000;

/** Two days with a jump a second: far more than most tests need, and they take a second. */
const DEFAULT_MOST_JUMPS = 200_000;

/** Turns of the host in which nothing happened; more than one, because promises of the test itself take some. */
const MOST_QUIET_TURNS = 10;

const NS_PER_MS = 1_000_000;
