/**
 * The arms of a race: operations of which the first to come to an end counts.
 *
 * Facts. An arm that is a single request (a receive, a sleep, a lock) needs no task: it is armed with the others, and
 * the first answer undoes the rest at once. So of two channels that have something, one is left alone. An arm of
 * several steps needs a task of its own. When another arm has won, that task is cancelled in the same moment: what was
 * handed to it, and it has not taken, goes back to where it came from, readiness included: a task that was about to go on
 * with a descriptor that has become ready ends where it waits, and opens or takes nothing that nobody would get.
 *
 * Decision. Arms are requests in one contest. One that needs a task starts it when it is armed, so that what comes
 * after an arm that is ready at once is not even begun, and waits for the task's end. Only if there are such arms a
 * scope is opened, which waits for the clean-up of the losers.
 */

import { contest, type Winner } from "../core/first-of.ts";
import { isSingleRequest, type Operation, type SingleRequest, type TaskBody } from "../core/operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import { scope } from "../core/scope-region.ts";
import type { Scope } from "../core/scope.ts";
import { JoinRequest } from "../core/task-operations.ts";
import type { SpawnOptions } from "../core/task.ts";

/** What an arm comes to. */
export type ValueOf<A> = A extends () => Operation<infer T> ? T : A extends Operation<infer T> ? T : never;

/** The first arm to end, and its value. Throws what it threw. */
export function firstArm(arms: readonly TaskBody<unknown>[]): Operation<Winner> {
  return everySingle(arms) ? contest(arms.map((arm) => arm.takeRequest())) : raceTasks(arms);
}

function everySingle(arms: readonly TaskBody<unknown>[]): arms is readonly (TaskBody<unknown> & SingleRequest)[] {
  return arms.every(isSingleRequest);
}

function raceTasks(arms: readonly TaskBody<unknown>[]): Operation<Winner> {
  return scope(function* (own) {
    const winner = yield* contest(
      arms.map((arm) => (isSingleRequest(arm) ? arm.takeRequest() : new ArmRequest(own, arm))),
    );
    own.cancelChildren(LOST);
    return winner;
  });
}

/** Starts an arm in a task of its own, and waits for its end. */
class ArmRequest extends SuspendRequest {
  private end: ArmEndRequest | null = null;

  constructor(
    private readonly scope: Scope,
    private readonly body: TaskBody<unknown>,
  ) {
    super();
  }

  describe(): string {
    return this.end === null ? "an arm" : this.end.describe();
  }

  arm(suspension: Suspension): Undo | null {
    const task = suspension.scheduler.startChild(suspension.task, this.scope, this.body, NO_OPTIONS, null);
    this.end = new ArmEndRequest(task.task);
    return this.end.arm(suspension);
  }
}

/** Waits for the end of an arm's task; if the contest is over before, the task has lost. */
class ArmEndRequest extends JoinRequest {
  override undo(): void {
    super.undo();
    const { task } = this.suspension!;
    this.awaited.cancel(task.isDue ? task.unwindingReason : LOST);
  }
}

const NO_OPTIONS: SpawnOptions = {};

/** What the losers are cancelled for. */
const LOST = "another arm of the race was first";
