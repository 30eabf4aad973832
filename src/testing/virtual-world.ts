/**
 * A world of tasks in which time is virtual: an executor on a driver without a kernel, whose clock jumps to the next
 * deadline when all tasks are blocked (trio's MockClock with its autojump is the model). An hour of sleep takes no
 * time, and nothing depends on how fast the machine is.
 */

import { assertInteger, assertTime } from "../core/errors.ts";
import { Executor, type RunOptions } from "../core/executor.ts";
import type { BodyWith, Operation } from "../core/operation.ts";
import { type ClockOptions, Clockwork } from "./clockwork.ts";
import { Random } from "./random.ts";
import { HIGHEST_SEED } from "./seed.ts";
import { SeededQueue } from "./seeded-queue.ts";
import { VirtualDriver } from "./virtual-driver.ts";
import { VirtualRun } from "./virtual-run.ts";

export interface VirtualWorldOptions extends ClockOptions {
  /**
   * Decides in which order tasks run that are ready at the same time, and the numbers of `world.random`: an integer
   * from 0 to 4,294,967,295. Without a seed tasks run first come, first served, as they do outside tests.
   */
  readonly seed?: number | undefined;
  /** Makes the world's driver; by default one without a system. */
  readonly driver?: (() => VirtualDriver) | undefined;
}

/** What a world can run: a generator function, which is given the world, or an operation. */
export type WorldBody<T> = BodyWith<VirtualWorld, T>;

export class VirtualWorld {
  readonly seed: number | undefined;
  /** Random numbers for the test's own choices, which the seed decides, too. */
  readonly random: Random;
  readonly driver: VirtualDriver;
  readonly executor: Executor;

  private readonly clockwork: Clockwork;
  /** Fulfils when the clock has arrived where it was sent last. */
  private arrival: Promise<void> = Promise.resolve();

  /** @throws RangeError if a number among the options is out of its range */
  constructor(options: VirtualWorldOptions = {}) {
    assertOptions(options);
    const { seed, driver = () => new VirtualDriver() } = options;
    this.seed = seed;
    this.random = new Random((seed ?? 0) ^ OTHER_STREAM);
    this.driver = driver();
    const readyQueue = seed === undefined ? undefined : new SeededQueue(new Random(seed));
    this.executor = new Executor(this.driver, { readyQueue });
    this.clockwork = new Clockwork(this.driver, this.executor, options);
  }

  /** The time on the world's clock, in milliseconds from 0; `sleepUntil` and `deadline` count on it. */
  get nowMs(): number {
    return this.driver.nowNs / NS_PER_MS;
  }

  /**
   * Runs a task in the world, beside others that run there. The promise settles as that of `run` does, and besides
   * rejects, after the tasks have cleaned up,
   * - with a `DeadlockError` if all tasks are blocked, no deadline is armed and nobody outside could resume one. Code
   *   outside tasks that resumes one by hand says so by awaiting `settled()` before;
   * - with a `StalledError` if somebody outside could resume one (a task waits for the host or for a descriptor, or
   *   the test awaits `settled()`) but nothing has happened for `patienceMs`, or if the clock has jumped `mostJumps`
   *   times.
   *
   * Both list every task with what it waits for.
   */
  run<T>(body: WorldBody<T>, options: RunOptions = {}): Promise<T> {
    const run = new VirtualRun();
    this.clockwork.begin(run);
    const outcome = this.executor.run(this.bodyOf(body), { ...options, signal: run.signalWith(options.signal) });
    return run.outcomeOf(outcome).finally(() => this.clockwork.end(run));
  }

  /**
   * Fulfils when all tasks are blocked, those that wait for the host included, and before the clock jumps. For code
   * outside tasks, to look at what has come of it and to resume a task by hand; tasks have the operation `settled`.
   *
   * From then on the world gives that code some turns of the host's event loop before its clock jumps; with
   * `jumps: false` it has all the time that it needs.
   */
  settled(): Promise<void> {
    this.clockwork.isDriven = true;
    return new Promise((resolve) => this.driver.addSettledListener({ isTask: false, settled: resolve }));
  }

  /**
   * Moves a clock that does not jump by itself (`jumps: false`) on by `durationMs` milliseconds, from deadline to
   * deadline, each when all tasks are blocked again. Fulfils when the clock has arrived and all tasks are blocked.
   * For code outside tasks.
   * @throws RangeError if the duration is negative, infinite or no number; TypeError if the clock jumps by itself
   */
  advance(durationMs: number): Promise<void> {
    assertTime("advance: durationMs", durationMs, "milliseconds", Number.MAX_VALUE);
    if (this.clockwork.jumps) throw new TypeError("advance() is for a world that is made with { jumps: false }");
    this.arrival = this.arrival.then(() => this.advanceNow(durationMs * NS_PER_MS));
    return this.arrival;
  }

  private async advanceNow(durationNs: number): Promise<void> {
    const { driver } = this;
    await this.settled();
    const endNs = driver.nowNs + durationNs;
    while (driver.nextDeadlineNs <= endNs) {
      driver.jump();
      await this.settled();
    }
    driver.nowNs = endNs;
  }

  /** Gives the body the world, and leaves it its name, after which its task is called. */
  private bodyOf<T>(body: WorldBody<T>): Operation<T> | (() => Operation<T>) {
    if (typeof body !== "function") return body;
    return Object.defineProperty(() => body(this), "name", { value: body.name });
  }
}

/**
 * Runs one task in a virtual world of its own, as the whole of a test:
 *
 *     test("gives up after an hour", () =>
 *       virtualTime(function* (world) {
 *         yield* moveOnAfter(3_600_000, never());
 *         expect(world.nowMs).toBe(3_600_000);
 *       }));
 *
 * The promise settles as that of `world.run` does.
 */
export async function virtualTime<T>(body: WorldBody<T>, options: VirtualWorldOptions = {}): Promise<T> {
  return await new VirtualWorld(options).run(body);
}

function assertOptions({ seed, patienceMs, mostJumps }: VirtualWorldOptions): void {
  if (seed !== undefined) assertInteger("VirtualWorld: seed", seed, 0, HIGHEST_SEED);
  if (patienceMs !== undefined) assertTime("VirtualWorld: patienceMs", patienceMs);
  if (mostJumps !== undefined) assertInteger("VirtualWorld: mostJumps", mostJumps, 1, Number.MAX_SAFE_INTEGER);
}

/** The test's own numbers are not those that the ready queue draws. */
const OTHER_STREAM = 0x5bd1e995;

const NS_PER_MS = 1_000_000;
