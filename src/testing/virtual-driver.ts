/**
 * A driver without a kernel and without a thread.
 *
 * Its clock stands still while tasks run, and jumps to the next deadline when all of them are blocked: beside the
 * host once the host's event loop has had a turn, so that promises go first; in a blocked thread at once. A test
 * declares descriptors ready with `declareReady`, and sees in `counts` what the executor asked for.
 */

import type { Driver, DriverClient } from "../core/driver.ts";
import { endsOf, type Interest, type Readiness } from "../core/interest.ts";
import { Delivery, type Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { afterHostTurn } from "./host-turn.ts";

export interface VirtualDriverOptions {
  /** What the tasks' calls to the world go to; without one, an operation on the network says that it is missing. */
  readonly system?: System | undefined;
}

/** Who wants to be told once when all tasks are blocked. Tasks that wait for that are told before the host is. */
export interface SettledListener {
  readonly isTask: boolean;
  settled(): void;
}

export class VirtualDriver implements Driver {
  readonly system?: System | undefined;
  /** The time on the clock. A test may set it while nothing runs. */
  nowNs = 0;
  /** How often the executor parked, polled, and so on. */
  readonly counts = { park: 0, poll: 0, arm: 0, disarm: 0, release: 0 };
  /** The `isWaiting` of the latest park. */
  isWaitedFor = false;
  /**
   * Called when all tasks are blocked, and those who wait for that have been told: it decides what comes next. By
   * default the clock jumps.
   */
  whenBlocked: () => void = () => this.jump();
  /** How many turns the host's event loop has had since the executor did something. */
  quietTurns = 0;

  private client: DriverClient | null = null;
  private readonly sources = new Set<Source>();
  private readonly readiness = new Map<number, Readiness>();
  private readonly settledListeners = new Set<SettledListener>();
  /** What the executor parked until; null while it is not parked. */
  private parkedUntilNs: number | null = null;
  private scheduledCalls = 0;
  private willLook = false;
  private failure: Error | null = null;

  constructor(options: VirtualDriverOptions = {}) {
    this.system = options.system;
  }

  /** Whether something is under way that will call the executor by itself. */
  get isBusy(): boolean {
    return this.scheduledCalls > 0 || this.nextDeadlineNs !== Infinity;
  }

  /** The next deadline that the executor waits for; Infinity if there is none, or if it is not parked. */
  get nextDeadlineNs(): number {
    return this.parkedUntilNs ?? Infinity;
  }

  /** The sources that are watched at this moment. */
  get watched(): readonly Source[] {
    return [...this.sources];
  }

  /** From now on the descriptor is ready, until `declareIdle`; an edge source is told once. */
  declareReady(descriptor: number, readiness: Readiness): void {
    this.readiness.set(descriptor, readiness);
    if (this.parkedUntilNs !== null && this.readySources().length > 0) this.schedule(false);
  }

  /** The descriptor is not ready any more. */
  declareIdle(descriptor: number): void {
    this.readiness.delete(descriptor);
  }

  /** Sets the clock to the next deadline, and lets the executor go on; does nothing if there is none. */
  jump(): void {
    if (this.nextDeadlineNs === Infinity) return;
    this.nowNs = Math.max(this.nowNs, this.nextDeadlineNs);
    this.callClient();
  }

  /** Tells the listener once all tasks are blocked, before the clock jumps. */
  addSettledListener(listener: SettledListener): void {
    this.settledListeners.add(listener);
    this.lookSoon();
  }

  removeSettledListener(listener: SettledListener): void {
    this.settledListeners.delete(listener);
  }

  /** Calls `whenBlocked` again, after another turn of the host, if the executor has had nothing to do meanwhile. */
  lookSoon(): void {
    if (this.willLook) return;
    this.willLook = true;
    afterHostTurn(this.look);
  }

  /** Ends every wait with an error, as a reactor does whose event queue has failed. */
  fail(error: Error): void {
    this.failure = error;
    for (const source of this.sources) source.fail(error);
    this.client?.onFailure(error);
  }

  now(): number {
    return this.nowNs;
  }

  attach(client: DriverClient): void {
    if (this.client !== null) throw new Error("this virtual driver serves another executor");
    this.client = client;
  }

  detach(): void {
    this.client = null;
  }

  arm(source: Source, interest: Interest): void {
    if (this.failure !== null) throw this.failure;
    this.counts.arm++;
    source.armed |= interest;
    this.sources.add(source);
  }

  disarm(source: Source): void {
    this.counts.disarm++;
    if (source.delivery === Delivery.ONE_SHOT) source.armed = source.wanted;
    if (source.armed === 0) this.sources.delete(source);
  }

  release(source: Source): void {
    this.counts.release++;
    this.sources.delete(source);
  }

  poll(timeoutNs: number): number {
    this.counts.poll++;
    const count = this.deliverReady();
    if (count === 0 && timeoutNs > 0) {
      if (timeoutNs === Infinity)
        throw new Error("the thread would block for ever: no source of the virtual driver is ready");
      this.nowNs += timeoutNs;
    }
    return count;
  }

  park(deadlineNs: number, isWaiting: boolean): boolean {
    this.counts.park++;
    this.isWaitedFor = isWaiting;
    if (this.failure !== null && isWaiting) {
      this.client?.onFailure(this.failure);
      return false;
    }
    // Delivered here, because the executor polls only while somebody waits for a source.
    if (this.deliverReady() > 0) return false;
    this.parkedUntilNs = deadlineNs;
    this.quietTurns = 0;
    this.lookSoon();
    return true;
  }

  schedule(afterHost: boolean): void {
    this.scheduledCalls++;
    const call = (): void => {
      this.scheduledCalls--;
      this.callClient();
    };
    if (afterHost) afterHostTurn(call);
    else queueMicrotask(call);
  }

  close(): void {
    this.fail(new Error("the virtual driver was closed"));
  }

  /**
   * All tasks are blocked if nothing is scheduled after a turn of the host: the executor may have had something to do
   * since it parked, and then parks again.
   */
  private readonly look = (): void => {
    this.willLook = false;
    if (this.scheduledCalls > 0) return;
    this.quietTurns++;
    if (this.settledListeners.size === 0) return this.whenBlocked();
    this.tellSettled();
    this.quietTurns = 0;
    this.lookSoon();
  };

  private tellSettled(): void {
    const listeners = [...this.settledListeners];
    const tasks = listeners.filter(({ isTask }) => isTask);
    for (const listener of tasks.length > 0 ? tasks : listeners) {
      this.settledListeners.delete(listener);
      listener.settled();
    }
  }

  private callClient(): void {
    this.parkedUntilNs = null;
    this.client?.onReady();
  }

  private readySources(): Source[] {
    return [...this.sources].filter((source) => (this.readinessOf(source) & endsOf(source.armed)) !== 0);
  }

  private deliverReady(): number {
    const ready = this.readySources();
    for (const source of ready) this.deliver(source);
    return ready.length;
  }

  private deliver(source: Source): void {
    const readiness = this.readinessOf(source);
    if (source.delivery === Delivery.EDGE) this.readiness.delete(source.descriptor);
    source.deliver(readiness);
  }

  private readinessOf(source: Source): Readiness {
    return this.readiness.get(source.descriptor) ?? 0;
  }
}
