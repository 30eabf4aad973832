/**
 * The reactor: owns one event queue and the thread that waits on it, and tells an executor what became ready.
 *
 * It is a `Driver`, so an `Executor` can be put on it as it is; and it serves any other executor: register interest
 * with `registrator()`, take what is ready with `drain`, wait with `fetch` (blocking) or `park` (the thread waits and
 * `onReady` is called), and end it with `close`. `ready-channel.ts` tells how its thread and the executor's share the
 * polling.
 */

import type { Driver, DriverClient } from "../core/driver.ts";
import { assertTime, BusyError, ClosedError, ReactorError } from "../core/errors.ts";
import type { Interest } from "../core/interest.ts";
import type { Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { nativeLibrary } from "../native/library.ts";
import { reportsChanges, THIS_PLATFORM } from "../native/platform.ts";
import { allocateQueue, NativeQueue, PollResult, QueueCall } from "../native/queue.ts";
import { errorOf } from "../native/status.ts";
import { nativeSystem } from "../native/system.ts";
import { Linger, LONGEST_DOZE_US, LONGEST_LINGER_US } from "./linger.ts";
import { ReactorThread } from "./reactor-thread.ts";
import { Holder, ReadyChannel } from "./ready-channel.ts";
import { type ReadyHandler, Registrator } from "./registrator.ts";

export class Reactor implements Driver, Disposable {
  readonly system: System = nativeSystem();
  readonly timerSlackNs = TIMER_SLACK_NS;
  readonly armsForEachWait = !reportsChanges(THIS_PLATFORM);

  private readonly channel = ReadyChannel.allocate();
  private readonly queueMemory = allocateQueue();
  private readonly queue: NativeQueue;
  private readonly sources: Registrator;
  private readonly linger = new Linger();
  private dozeNs = 0;
  private thread: ReactorThread | null = null;
  private client: DriverClient | null = null;
  /** Why the reactor serves nobody any more. */
  private ending: Error | null = null;
  private isClosed = false;
  /** The deadline that the reactor thread knows, on the executor's clock. */
  private sharedDeadlineNs = Infinity;
  private readonly callClient = (): void => this.client?.onReady();
  private readonly deliver = (slot: number, generation: number, readiness: number): void =>
    this.sources.find(slot, generation)?.deliver(readiness);

  /**
   * @throws Error if the native library cannot be loaded; SystemError if the operating system gives no event queue
   * (`EMFILE`)
   */
  constructor() {
    const { functions } = nativeLibrary();
    this.queue = new NativeQueue(this.queueMemory, this.channel.memory.ring, functions);
    this.sources = new Registrator(this.queue, this);
    const result = this.queue.open();
    if (result < 0) throw errorOf(result, QueueCall.OPEN);
  }

  /** Where interest is registered. */
  registrator(): Registrator {
    return this.sources;
  }

  /**
   * The longest time to poll on before the thread sleeps, in microseconds, 1,000 at the most; 0 turns it off.
   * @throws RangeError for any other
   */
  set lingerUs(lingerUs: number) {
    assertTime("lingerUs", lingerUs, "microseconds", LONGEST_LINGER_US);
    this.linger.boundUs = lingerUs;
  }

  /**
   * How long the executor's thread itself may then sleep in the event queue, in microseconds, 10,000 at the most, before it
   * leaves that to the reactor's thread; 0, which it is at first, turns it off. The host has no turn meanwhile.
   * @throws RangeError for any other
   */
  set dozeUs(dozeUs: number) {
    assertTime("dozeUs", dozeUs, "microseconds", LONGEST_DOZE_US);
    this.dozeNs = dozeUs * NS_PER_US;
  }

  /** Nanoseconds on the clock of `performance.now()`. */
  now(): number {
    return performance.now() * NS_PER_MS;
  }

  /** As getrusage(2) counts it. */
  threadCpuNs(): number {
    const { user, system } = process.threadCpuUsage();
    return (user + system) * NS_PER_US;
  }

  /** Names who is called when something is ready while the reactor is parked. Serves one at a time. */
  attach(client: DriverClient): void {
    if (this.client !== null) throw new BusyError("this reactor serves another executor: open a Reactor for each");
    this.client = client;
  }

  detach(): void {
    this.client = null;
  }

  arm(source: Source, interest: Interest): void {
    if (this.ending !== null) throw this.ending;
    this.sources.arm(source, interest);
  }

  disarm(source: Source): void {
    if (this.ending === null) this.sources.disarm(source);
  }

  release(source: Source): void {
    if (this.ending === null) this.sources.release(source);
  }

  poll(timeoutNs: number): number {
    this.fetchUnlessEnded(timeoutNs);
    return this.drainWith(this.deliver);
  }

  /**
   * Moves what is ready from the operating system to the channel. Waits at most `timeoutNs` nanoseconds for it (0: not at
   * all, Infinity: as long as it takes), unless the channel has something already; a signal ends the wait early.
   * @throws ReactorError if the event queue has failed; ClosedError after `close`
   */
  fetch(timeoutNs: number): void {
    this.fetchUnlessEnded(timeoutNs);
    if (this.ending !== null) throw this.ending;
  }

  /** Gives each event that is in the channel to the handler, in order; returns how many there were. */
  drain(handler: ReadyHandler): number {
    return this.drainWith((slot, generation, readiness) => {
      const source = this.sources.find(slot, generation);
      if (source !== null) handler(source, readiness);
    });
  }

  park(deadlineNs: number, isWaiting: boolean): boolean {
    if (this.ending === null) this.thread?.keepProcessAlive(isWaiting);
    if (!isWaiting) return true;
    if (this.ending !== null) {
      this.tellEnding();
      return false;
    }
    this.thread ??= this.startThread();
    if (this.thread === null) return false;
    if (!this.thread.isUp) {
      // Until the thread can wait for us, we come back after each turn of the host's loop.
      this.schedule(true);
      return true;
    }
    if (this.channel.holder === Holder.EXECUTOR && this.lingersUntilReady(deadlineNs)) return false;
    this.sleep(deadlineNs);
    return true;
  }

  schedule(afterHost: boolean): void {
    if (afterHost) setImmediate(this.callClient);
    else queueMicrotask(this.callClient);
  }

  /**
   * Ends the reactor: its thread, its event queue, and with a `ClosedError` every wait. The descriptors that were
   * registered stay open. `closed` tells when the thread is gone.
   */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.end(new ClosedError("the reactor was closed"));
    this.stopThread();
    this.queue.close();
  }

  /** Whether the reactor was closed, or has failed. */
  get hasEnded(): boolean {
    return this.ending !== null;
  }

  /** Settles when the thread has ended; at once if there is none. */
  get closed(): Promise<void> {
    return this.thread?.ended ?? Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private fetchUnlessEnded(timeoutNs: number): void {
    if (this.ending !== null) {
      this.tellEnding();
      return;
    }
    if (this.channel.hasEvents) return;
    if (this.channel.holder === Holder.REACTOR) {
      if (timeoutNs <= 0) return;
      this.reclaimBaton();
      if (this.channel.hasEvents) return;
    }
    const result = this.queue.poll(timeoutNs);
    if (result < 0 && result !== PollResult.INTERRUPTED) this.pollFailed(result);
  }

  private drainWith(handler: (slot: number, generation: number, readiness: number) => void): number {
    const count = this.channel.drain(handler);
    if (count === 0) return 0;
    if (this.linger.isIdle) this.linger.sawEvent(this.now());
    // Events came while the executor was awake: it should poll by itself.
    else this.channel.isWanted = true;
    return count;
  }

  /**
   * Polls on for a moment before the executor sleeps, if that has paid off lately; then sleeps in the event queue itself for
   * as long as it may.
   */
  private lingersUntilReady(deadlineNs: number): boolean {
    let nowNs = this.now();
    this.linger.becameIdle(nowNs);
    const endNs = nowNs + this.linger.durationNs;
    while (nowNs < endNs && nowNs < deadlineNs) {
      if (this.poll(0) > 0 || this.ending !== null) return true;
      nowNs = this.now();
    }
    if (this.dozeNs > 0 && nowNs < deadlineNs) {
      if (this.poll(Math.min(this.dozeNs, deadlineNs - nowNs)) > 0 || this.ending !== null) return true;
      nowNs = this.now();
    }
    return nowNs >= deadlineNs;
  }

  /** From here on the thread polls, and calls when something is ready or the deadline has come. */
  private sleep(deadlineNs: number): void {
    this.linger.fellAsleep(this.now());
    this.channel.isWanted = this.linger.isTrafficDense;
    const isEarlier = deadlineNs < this.sharedDeadlineNs;
    if (deadlineNs !== this.sharedDeadlineNs) this.shareDeadline(deadlineNs);
    if (this.channel.holder === Holder.EXECUTOR) this.channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    else if (isEarlier) this.queue.wake();
  }

  /** Our clock has another zero than the thread's. It is read first, so that the thread's deadline is not before ours. */
  private shareDeadline(deadlineNs: number): void {
    this.sharedDeadlineNs = deadlineNs;
    const remainingNs = deadlineNs - this.now();
    this.channel.deadlineNs = remainingNs === Infinity ? Infinity : this.queue.monotonicNowNs() + remainingNs;
  }

  private reclaimBaton(): void {
    this.channel.isWanted = true;
    this.queue.wake();
    this.channel.waitWhile(Holder.REACTOR);
  }

  /** Null if there can be none; whoever waits is told. */
  private startThread(): ReactorThread | null {
    try {
      return new ReactorThread(this.channel, this.queueMemory, {
        onBell: this.callClient,
        onPollFailed: (result) => this.pollFailed(result),
        onFailed: (reason) => this.end(new ReactorError(`the reactor thread failed: ${reason}`)),
      });
    } catch (error) {
      this.end(new ReactorError(`the reactor thread could not be started: ${String(error)}`, { cause: error }));
      return null;
    }
  }

  private stopThread(): void {
    if (this.thread === null) return;
    // It ends within a moment, and whoever waits for `closed` must live to see it.
    this.thread.keepProcessAlive(true);
    const mayBePolling = this.channel.retire() === Holder.REACTOR;
    if (!mayBePolling) return;
    this.queue.wake();
    this.channel.waitUntilLeft();
  }

  private pollFailed(result: number): void {
    this.end(new ReactorError(`the event queue failed: ${errorOf(result, QueueCall.WAIT).message}`));
  }

  /** Nothing will become ready any more: whoever waits is told why. */
  private end(error: Error): void {
    if (this.ending !== null) return;
    this.ending = error;
    this.thread?.keepProcessAlive(false);
    for (const source of this.sources) source.fail(error);
    this.tellEnding();
  }

  private tellEnding(): void {
    this.client?.onFailure(this.ending!);
  }
}

const NS_PER_MS = 1_000_000;
const NS_PER_US = 1_000;

/**
 * What the timers of the host have as well, which count whole milliseconds. A waking costs as much as firing ten
 * timers.
 */
const TIMER_SLACK_NS = NS_PER_MS;
