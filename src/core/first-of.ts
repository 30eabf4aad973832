/** Waiting for the first of several requests. */

import { type Operation, RequestOperation } from "./operation.ts";
import { type Giver, SuspendRequest, type Suspension, type Undo } from "./request.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/** The request that was answered first, and the answer. */
export interface Winner {
  readonly index: number;
  readonly value: unknown;
}

/**
 * Arms all requests, and undoes the others when one has been answered: so what another would have taken stays where it
 * is.
 * @throws what that request ended with, or what arming threw
 */
export function contest(requests: readonly SuspendRequest[]): Operation<Winner> {
  return new RequestOperation("contest", new ContestRequest(requests));
}

/** The same, for whoever needs to know no more than which. */
export function* firstOf(requests: readonly SuspendRequest[]): Operation<number> {
  const { index } = yield* contest(requests);
  return index;
}

/** The request of a contest. */
export class ContestRequest extends SuspendRequest {
  constructor(private readonly requests: readonly SuspendRequest[]) {
    super();
  }

  describe(): string {
    return this.requests.map((request) => request.describe()).join(" or ");
  }

  arm(suspension: Suspension): Undo | null {
    return Contest.arm(suspension, this.requests);
  }
}

class Contest implements Undo {
  /** Of the arms that are armed and have not been answered. */
  private readonly undos: (Undo | null)[] = [];
  private isOver = false;

  private constructor(private readonly suspension: Suspension) {}

  static arm(suspension: Suspension, requests: readonly SuspendRequest[]): Undo | null {
    const contest = new Contest(suspension);
    try {
      for (let index = 0; index < requests.length && !contest.isOver; index++) {
        const undo = requests[index]!.arm(new Contestant(contest, index, suspension));
        if (!contest.isOver) contest.undos[index] = undo;
      }
    } catch (error) {
      if (!contest.isOver) contest.undo();
      throw error;
    }
    return contest.isOver ? null : contest;
  }

  undo(): void {
    this.isOver = true;
    this.takeBackOthers();
  }

  /** Returns whom to resume if the contestant is the first; else null. It has nothing to undo any more. */
  finish(index: number): Suspension | null {
    this.undos[index] = null;
    if (this.isOver) return null;
    this.isOver = true;
    return this.suspension;
  }

  /**
   * The winner has its answer; the others are taken back, the last first. To take one arm back may answer another, which
   * then is not taken back any more.
   */
  takeBackOthers(): void {
    for (let index = this.undos.length - 1; index >= 0; index--) {
      const undo = this.undos[index]!;
      this.undos[index] = null;
      this.suspension.task.takeBack(undo);
    }
  }
}

/** One arm of the contest. */
class Contestant implements Suspension {
  readonly scheduler: Scheduler;
  readonly task: Task<unknown>;

  constructor(
    private readonly contest: Contest,
    private readonly index: number,
    suspension: Suspension,
  ) {
    this.scheduler = suspension.scheduler;
    this.task = suspension.task;
  }

  resume(value: unknown): void {
    const suspension = this.contest.finish(this.index);
    if (suspension === null) return;
    suspension.resume(this.winner(value));
    this.contest.takeBackOthers();
  }

  resumeLater(value: unknown): void {
    const suspension = this.contest.finish(this.index);
    if (suspension === null) return;
    suspension.resumeLater(this.winner(value));
    this.contest.takeBackOthers();
  }

  handOver<T>(value: T, giver: Giver<T>): void {
    const suspension = this.contest.finish(this.index);
    if (suspension === null) return giver.giveBack(value);
    suspension.handOver(this.winner(value), { giveBack: () => giver.giveBack(value) });
    this.contest.takeBackOthers();
  }

  fail(error: unknown): void {
    const suspension = this.contest.finish(this.index);
    if (suspension === null) return;
    suspension.fail(error);
    this.contest.takeBackOthers();
  }

  private winner(value: unknown): Winner {
    return { index: this.index, value };
  }
}
