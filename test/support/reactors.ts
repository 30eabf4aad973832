/** Reactors for tests: opened for one test and gone after it, and a look inside. */

import { Executor } from "../../src/core/executor.ts";
import type { TaskBody } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { timeout } from "../../src/core/time-limit.ts";
import type { NativeQueue } from "../../src/native/queue.ts";
import type { Linger } from "../../src/reactor/linger.ts";
import type { ReactorThread } from "../../src/reactor/reactor-thread.ts";
import { Holder, type ReadyChannel } from "../../src/reactor/ready-channel.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { duplicateTo, EventCounter } from "./libc.ts";
import { whenParked } from "./parked.ts";

/** A reactor with an executor on it, which is closed, thread included, at the end of an `await using` block. */
export class TestReactor implements AsyncDisposable {
  readonly reactor = new Reactor();
  readonly executor = new Executor(this.reactor);

  run<T>(body: TaskBody<T>): Promise<T> {
    return this.executor.run(body);
  }

  /** Settles when the reactor's thread polls, which it does only while the executor is parked. */
  untilParked(): Promise<void> {
    return untilParked(this.reactor);
  }

  /** Lets it sleep once, for which it opens its thread and its descriptors; they stay from then on. */
  open(): Promise<void> {
    return this.run(() => timeout(A_LONG_TIME_MS, () => promise(untilThreadIsUp(this.reactor))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reactor.close();
    await this.reactor.closed;
  }
}

/**
 * Settles when the thread of a reactor has the baton and waits in the event queue, deadline and all. Each look is a
 * turn of the host's loop.
 */
export async function untilParked(reactor: Reactor): Promise<void> {
  while (internalsOf(reactor).channel.holder !== Holder.REACTOR) await hostTurn();
  // On its way into the queue, or there; seen from outside where that can be.
  if (process.platform === "linux") await new Promise<void>(whenParked);
}

/** Settles when the thread of a reactor, which starts when the reactor first sleeps, has what it opens. */
export async function untilThreadIsUp(reactor: Reactor): Promise<void> {
  while (internalsOf(reactor).thread?.isUp !== true) await hostTurn();
}

/** Met only by a reactor that does not sleep. */
const A_LONG_TIME_MS = 60_000;

interface ReactorInternals {
  readonly channel: ReadyChannel;
  readonly queue: NativeQueue;
  readonly linger: Linger;
  readonly thread: ReactorThread | null;
}

/** What a reactor keeps to itself. */
export function internalsOf(reactor: Reactor): ReactorInternals {
  return reactor as unknown as ReactorInternals;
}

/** Makes every further poll of the reactor fail with `EINVAL`: the number of its epoll descriptor is an eventfd's now. */
export function breakEventQueue(reactor: Reactor): void {
  const { queue } = internalsOf(reactor).queue as unknown as { readonly queue: Uint8Array };
  const [epollDescriptor] = new Int32Array(queue.buffer, queue.byteOffset, 1);
  using impostor = new EventCounter();
  duplicateTo(impostor.descriptor, epollDescriptor!);
}

/** A number that no descriptor has; the kernel gives out the lowest ones. */
export const NO_DESCRIPTOR = 1_000_000_007;
