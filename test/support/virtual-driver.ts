/**
 * A driver without a kernel and without a thread, for tests of the executor.
 *
 * Its clock stands still while tasks run, and jumps to the next deadline when all of them wait: beside the host once
 * the host's event loop has had a turn, so that promises go first; in a blocked thread at once. A test declares
 * descriptors ready with `declareReady`, and sees in `events` what the executor asked for.
 */

import type { Driver, DriverClient } from "../../src/core/driver.ts";
import { ENDS_READ, ENDS_WRITE, Interest, type Readiness } from "../../src/core/interest.ts";
import { Delivery, type Source } from "../../src/core/source.ts";
import type { System } from "../../src/core/system.ts";

export class VirtualDriver implements Driver {
  readonly system?: System | undefined;
  nowNs = 0;
  /** How often the executor parked, polled, and so on. */
  readonly counts = { park: 0, poll: 0, arm: 0, disarm: 0, release: 0 };
  /** The `isWaiting` of the latest park. */
  isWaitedFor = false;
  private client: DriverClient | null = null;
  private readonly sources = new Set<Source>();
  private readonly readiness = new Map<number, Readiness>();
  /** What the executor parked until; null while it is not parked. */
  private parkedUntilNs: number | null = null;
  private scheduledCalls = 0;
  private failure: Error | null = null;

  /** Whether something is under way that will call the executor by itself. */
  get isBusy(): boolean {
    return this.scheduledCalls > 0 || (this.parkedUntilNs !== null && this.parkedUntilNs !== Infinity);
  }

  /** The sources that are watched at this moment. */
  get watched(): readonly Source[] {
    return [...this.sources];
  }

  /** From now on the descriptor is ready, until `declareIdle`; an edge source is told once. */
  declareReady(descriptor: number, readiness: Readiness): void {
    this.readiness.set(descriptor, readiness);
    if (this.parkedUntilNs !== null && this.readySources().length > 0) this.callSoon();
  }

  /** The descriptor is not ready any more. */
  declareIdle(descriptor: number): void {
    this.readiness.delete(descriptor);
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
    const ready = this.readySources();
    if (ready.length === 0 && timeoutNs > 0) {
      if (timeoutNs === Infinity)
        throw new Error("the thread would block for ever: no source of the virtual driver is ready");
      this.nowNs += timeoutNs;
    }
    for (const source of ready) this.deliver(source);
    return ready.length;
  }

  park(deadlineNs: number, isWaiting: boolean): boolean {
    this.counts.park++;
    this.isWaitedFor = isWaiting;
    if (this.failure !== null && isWaiting) {
      this.client?.onFailure(this.failure);
      return false;
    }
    if (this.readySources().length > 0) return false;
    this.parkedUntilNs = deadlineNs;
    if (deadlineNs !== Infinity) setImmediate(this.jump);
    return true;
  }

  schedule(afterHost: boolean): void {
    this.scheduledCalls++;
    const call = (): void => {
      this.scheduledCalls--;
      this.callClient();
    };
    if (afterHost) setImmediate(call);
    else queueMicrotask(call);
  }

  close(): void {
    this.fail(new Error("the virtual driver was closed"));
  }

  /** Time passes only if the executor still waits: it may have had something to do since it parked. */
  private readonly jump = (): void => {
    if (this.parkedUntilNs === null || this.parkedUntilNs === Infinity || this.scheduledCalls > 0) return;
    this.nowNs = Math.max(this.nowNs, this.parkedUntilNs);
    this.callClient();
  };

  private callSoon(): void {
    this.schedule(false);
  }

  private callClient(): void {
    this.parkedUntilNs = null;
    this.client?.onReady();
  }

  private readySources(): Source[] {
    return [...this.sources].filter((source) => (this.readinessOf(source) & endsOf(source.armed)) !== 0);
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

function endsOf(interest: Interest): Readiness {
  const reads = (interest & (Interest.READABLE | Interest.PRIORITY)) !== 0;
  const writes = (interest & Interest.WRITABLE) !== 0;
  return (reads ? ENDS_READ : 0) | (writes ? ENDS_WRITE : 0);
}

/**
 * Awaits what runs on the virtual driver. If nothing is under way any more that could settle it, it fails at once with
 * that as the reason, instead of hanging until the test's time is up.
 */
export async function settled<T>(driver: VirtualDriver, awaited: Promise<T>): Promise<T> {
  let isSettled = false;
  const note = (): void => {
    isSettled = true;
  };
  awaited.then(note, note);
  let quietTurns = 0;
  while (!isSettled && quietTurns < MOST_QUIET_TURNS) {
    await hostTurn();
    quietTurns = driver.isBusy ? 0 : quietTurns + 1;
  }
  if (!isSettled) throw new Error("nothing is under way that could settle the promise: the executor has stalled");
  return awaited;
}

/** Lets the host's event loop have one turn, with all the microtasks that belong to it. */
export function hostTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Turns of the host in which nothing was under way; more than one, because promises of the test itself take some. */
const MOST_QUIET_TURNS = 10;
