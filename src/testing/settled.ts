/** Waiting, in a task of a virtual world, until all others are blocked (trio's `wait_all_tasks_blocked`). */

import { UnsupportedError } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import { type SettledListener, VirtualDriver } from "./virtual-driver.ts";

/**
 * Suspends the task until all others are blocked, those that wait for the host included, and before the clock jumps.
 * Several tasks that wait for that go on at the same time. It takes the place of "sleep a little, so that the other
 * has come so far".
 * @throws UnsupportedError outside a virtual world, and in `blockOn`
 */
export function settled(): Operation<void> {
  return new RequestOperation("settled", new SettledRequest());
}

class SettledRequest extends SuspendRequest implements Undo, SettledListener {
  readonly isTask = true;
  private suspension: Suspension | null = null;
  private driver: VirtualDriver | null = null;

  describe(): string {
    return "all other tasks to be blocked";
  }

  arm(suspension: Suspension): Undo {
    this.suspension = suspension;
    this.driver = driverOf(suspension);
    this.driver.addSettledListener(this);
    return this;
  }

  undo(): void {
    this.driver!.removeSettledListener(this);
  }

  settled(): void {
    this.suspension!.resume(undefined);
  }
}

function driverOf({ scheduler, task }: Suspension): VirtualDriver {
  const { driver } = scheduler;
  if (driver instanceof VirtualDriver && !scheduler.isBlocking) return driver;
  throw new UnsupportedError(`${task.name} waits for settled(), which only the run of a VirtualWorld has`);
}
