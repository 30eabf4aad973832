/**
 * Signals of the operating system that are sent to this process: `signal` waits for the next one, `signals` is told of
 * all (signal(7)).
 *
 * While somebody listens for a signal its default action, mostly the end of the process, does not take place; it is
 * back when nobody does. Bun delivers signals to the main thread alone.
 *
 * Windows has none; there Ctrl-C is told as SIGINT, Ctrl-Break as SIGBREAK, the end of the console as SIGHUP (signals of
 * Node.js).
 */

import { constants } from "node:os";
import { BusyError, describeValue, UnsupportedError } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import type { Giver } from "../core/request.ts";
import type { Subscription } from "../flow/each.ts";
import { HostWait } from "./host-wait.ts";
import { KeepAlive } from "./keep-alive.ts";

/** One signal, or several of which any will do. */
export type SignalNames = NodeJS.Signals | readonly NodeJS.Signals[];

/**
 * Suspends the task until the process is sent the signal, or one of several. The wait keeps the process alive. Between
 * two waits the signal has its default action: to miss none, use `signals`. In `main`, SIGINT and SIGTERM cancel the
 * program beside that, unless its options say otherwise.
 * @returns the name of the signal
 * @throws TypeError for a name that is none, or that no program can listen for (SIGKILL, SIGSTOP); `UnsupportedError`
 *   in a Worker, which gets no signals, and in `blockOn`
 */
export function signal(names: SignalNames): Operation<NodeJS.Signals> {
  return new RequestOperation("signal", new NextSignal(toList("signal", names)));
}

/**
 * Listens for the signal, or for several, from now on and until it is closed. What comes while no task waits is kept,
 * of each name one, as the operating system itself does with a signal that is pending.
 *
 *     for (const name of yield* each(signals("SIGHUP"))) {
 *       yield* reload();
 *       yield* each.next();
 *     }
 *
 * @throws TypeError for a name that is none, or that no program can listen for; `UnsupportedError` in a Worker
 */
export function signals(names: SignalNames): SignalSubscription {
  return new SignalSubscription(toList("signals", names));
}

/** What `signals` returns: iterate it with `each`, or take one signal after the other with `next`. */
export class SignalSubscription implements Subscription<NodeJS.Signals>, Disposable, Giver<SignalResult> {
  /** What came while nobody waited, in the order in which it came. */
  private readonly pending: NodeJS.Signals[] = [];
  private waiter: SubscriptionWait | null = null;
  private isClosed = false;

  /** For `signals`. */
  constructor(private readonly names: readonly NodeJS.Signals[]) {
    listen(this.names, this.received);
  }

  /**
   * Suspends the task until there is a signal. The wait keeps the process alive.
   * @throws BusyError if another task waits; `UnsupportedError` in `blockOn`
   */
  next(): Operation<SignalResult> {
    return new RequestOperation("next", new SubscriptionWait(this, this.names));
  }

  /** Listens no more: the signals have their default action again, and a task that waits finds the end. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    unlisten(this.names, this.received);
    this.waiter?.answer(DONE, this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Part of `Giver`: the task that was given the signal was cancelled before it took it. */
  giveBack({ done, value }: SignalResult): void {
    if (done !== true && !this.pending.includes(value)) this.pending.unshift(value);
  }

  /** Part of `SubscriptionWait`: answers it at once, or when a signal comes. */
  wait(waiter: SubscriptionWait): void {
    if (this.isClosed) return waiter.answer(DONE, this);
    if (this.waiter !== null) throw new BusyError(`another task waits for ${showNames(this.names)} already`);
    const name = this.pending.shift();
    if (name === undefined) this.waiter = waiter;
    else waiter.answer({ done: false, value: name }, this);
  }

  /** Part of `SubscriptionWait`. */
  forget(waiter: SubscriptionWait): void {
    if (this.waiter === waiter) this.waiter = null;
  }

  private readonly received = (name: NodeJS.Signals): void => {
    if (this.waiter !== null) this.waiter.answer({ done: false, value: name }, this);
    else if (!this.pending.includes(name)) this.pending.push(name);
  };
}

type SignalResult = IteratorResult<NodeJS.Signals, void>;

/** A wait for a signal, which keeps the process alive. */
abstract class SignalWait extends HostWait {
  private readonly keepAlive = new KeepAlive();

  constructor(protected readonly names: readonly NodeJS.Signals[]) {
    super();
  }

  describe(): string {
    return showNames(this.names);
  }

  protected begin(): void {
    this.keepAlive.start();
  }

  protected override ended(): void {
    this.keepAlive.stop();
  }
}

/** Listens only while it waits. */
class NextSignal extends SignalWait {
  protected override begin(): void {
    super.begin();
    listen(this.names, this.received);
  }

  protected override ended(): void {
    super.ended();
    unlisten(this.names, this.received);
  }

  private readonly received = (name: NodeJS.Signals): void => this.succeed(name);
}

class SubscriptionWait extends SignalWait {
  constructor(
    private readonly subscription: SignalSubscription,
    names: readonly NodeJS.Signals[],
  ) {
    super(names);
  }

  answer(result: SignalResult, giver: Giver<SignalResult>): void {
    this.handOver(result, giver);
  }

  protected override begin(): void {
    super.begin();
    this.subscription.wait(this);
  }

  protected override ended(): void {
    super.ended();
    this.subscription.forget(this);
  }
}

const DONE: SignalResult = { done: true, value: undefined };

function toList(caller: string, names: SignalNames): readonly NodeJS.Signals[] {
  if (!Bun.isMainThread) throw new UnsupportedError(`${caller}: a Worker gets no signals, only the main thread does`);
  const list: readonly NodeJS.Signals[] = typeof names === "string" ? [names] : [...names];
  if (list.length === 0) throw new TypeError(`${caller}: the list of signals is empty`);
  for (const name of list) assertSignal(caller, name);
  return list;
}

/** The error for a name that is no signal, or one that the kernel lets nobody listen for (signal(7)). */
export function assertSignal(caller: string, name: unknown): asserts name is NodeJS.Signals {
  if (name === "SIGKILL" || name === "SIGSTOP") throw new TypeError(`${caller}: no program can listen for ${name}`);
  if (typeof name === "string" && Object.hasOwn(constants.signals, name)) return;
  throw new TypeError(`${caller}: ${describeValue(name)} is no signal of this system: it is called like "SIGINT"`);
}

function listen(names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void): void {
  for (const name of names) process.on(name, listener);
}

function unlisten(names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void): void {
  for (const name of names) process.off(name, listener);
}

function showNames(names: readonly NodeJS.Signals[]): string {
  return names.join(" or ");
}
