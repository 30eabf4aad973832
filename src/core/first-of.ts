/** Waiting for the first of several requests. */

import { type Operation, RequestOperation } from "./operation.ts";
import { type Giver, ParkRequest, type SuspendRequest, type Suspension, type Undo } from "./request.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Task } from "./task.ts";

/**
 * Arms all requests, and undoes the others when one has been answered.
 * @returns the index of the request that was answered
 * @throws what that request ended with, or what arming threw
 */
export function firstOf(requests: readonly SuspendRequest[]): Operation<number> {
  const words = requests.map((request) => request.describe()).join(" or ");
  return new RequestOperation("firstOf", new ParkRequest((suspension) => Contest.arm(suspension, requests), words));
}

class Contest implements Undo {
  private readonly undos: (Undo | null)[] = [];
  private isOver = false;

  private constructor(private readonly suspension: Suspension) {}

  static arm(suspension: Suspension, requests: readonly SuspendRequest[]): Undo | null {
    const contest = new Contest(suspension);
    try {
      for (const [index, request] of requests.entries()) {
        if (contest.isOver) break;
        const undo = request.arm(new Contestant(contest, index, suspension));
        if (!contest.isOver) contest.undos[index] = undo;
      }
    } catch (error) {
      contest.undo();
      throw error;
    }
    return contest.isOver ? null : contest;
  }

  undo(): void {
    this.isOver = true;
    for (const undo of this.undos) undo?.undo();
  }

  /** Returns whom to resume if the contestant is the first, which has nothing to undo any more; else null. */
  finish(index: number): Suspension | null {
    if (this.isOver) return null;
    this.undos[index] = null;
    this.undo();
    return this.suspension;
  }
}

/** One arm of the contest: what it is resumed with is only that it was. */
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

  resume(): void {
    this.contest.finish(this.index)?.resume(this.index);
  }

  resumeLater(): void {
    this.contest.finish(this.index)?.resumeLater(this.index);
  }

  /** What was won is only that the arm was first, so the value goes back. */
  handOver<T>(value: T, giver: Giver<T>): void {
    giver.giveBack(value);
    this.contest.finish(this.index)?.resume(this.index);
  }

  fail(error: unknown): void {
    this.contest.finish(this.index)?.fail(error);
  }
}
