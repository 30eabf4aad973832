/** The common part of all waits that only host code can end: a promise, a process signal, an event of a stream. */

import { UnsupportedError } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { type Giver, SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import type { Task } from "../core/task.ts";

/** Lets the first end of the wait through and no other: what the host calls may come twice, or late. */
export abstract class HostWait extends SuspendRequest implements Undo {
  /** Who waits; null before, and once the wait is over. */
  private suspension: Suspension | null = null;

  /** Begins what will end the wait, and may end it at once. What it throws is thrown into the task. */
  protected abstract begin(): void;

  /** The wait is over, however it came to that. */
  protected ended(): void {}

  /** The wait was ended by a cancel. */
  protected takenBack(_task: Task<unknown>): void {}

  arm(suspension: Suspension): Undo | null {
    refuseInBlockOn(suspension, this.describe());
    suspension.scheduler.hostWaitCount++;
    this.suspension = suspension;
    try {
      this.begin();
    } catch (error) {
      this.finish();
      throw error;
    }
    return this.suspension === null ? null : this;
  }

  undo(): void {
    const { task } = this.finish()!;
    this.takenBack(task);
  }

  protected succeed(value?: unknown): void {
    this.finish()?.resume(value);
  }

  protected fail(error: unknown): void {
    this.finish()?.fail(error);
  }

  protected handOver<T>(value: T, giver: Giver<T>): void {
    this.finish()?.handOver(value, giver);
  }

  private finish(): Suspension | null {
    const { suspension } = this;
    if (suspension === null) return null;
    this.suspension = null;
    suspension.scheduler.hostWaitCount--;
    this.ended();
    return suspension;
  }
}

/** Waits until it is woken. Whoever can do that is given the wait when it begins, and null when it is over. */
export class WakeWait extends HostWait {
  constructor(
    private readonly words: string,
    private readonly setWait: (wait: WakeWait | null) => void,
  ) {
    super();
  }

  describe(): string {
    return this.words;
  }

  wake(): void {
    this.succeed();
  }

  protected begin(): void {
    this.setWait(this);
  }

  protected override ended(): void {
    this.setWait(null);
  }
}

/** Before anything is begun: it could not end. */
function refuseInBlockOn({ scheduler, task }: Suspension, words: string): void {
  if (!scheduler.isBlocking) return;
  throw new UnsupportedError(
    `${task.name} waits for ${words} inside blockOn, which blocks the thread that would bring it: use run instead`,
  );
}

/**
 * Begins something in the host and suspends the task until its promise settles; refused in `blockOn` before it begins.
 * @param giver gets the value back if the task is cancelled before it took it; null if it may be lost then
 */
export function settled<T>(
  callName: string,
  words: string,
  begin: () => PromiseLike<T>,
  giver: Giver<T> | null = null,
): Operation<T> {
  return new RequestOperation(callName, new SettledRequest(words, begin, giver));
}

class SettledRequest<T> extends HostWait {
  constructor(
    private readonly words: string,
    private readonly beginPromise: () => PromiseLike<T>,
    private readonly giver: Giver<T> | null,
  ) {
    super();
  }

  describe(): string {
    return this.words;
  }

  protected begin(): void {
    this.beginPromise().then(
      (value) => (this.giver === null ? this.succeed(value) : this.handOver(value, this.giver)),
      (error: unknown) => this.fail(error),
    );
  }
}
