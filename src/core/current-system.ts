/** How an operation gets at the world: the system of the executor that runs its task. */

import { UnsupportedError } from "./errors.ts";
import { type Operation, RequestOperation } from "./operation.ts";
import { AskRequest, type Suspension } from "./request.ts";
import type { System } from "./system.ts";

/**
 * The system that the current task's calls go through.
 * @throws UnsupportedError if the executor's driver has none
 */
export function currentSystem(): Operation<System> {
  return new RequestOperation("currentSystem", CURRENT_SYSTEM);
}

/**
 * The same, for an operation that opens something, or changes what is to be put back, without a wait. A task that is to end
 * does so here: it may be the loser of a race, and nobody would close what it opens.
 * @throws UnsupportedError if the executor's driver has none
 */
export function systemToOpen(): Operation<System> {
  return new RequestOperation("systemToOpen", SYSTEM_TO_OPEN);
}

/** Whether host promises can settle while the task waits: not in `blockOn`. */
export function hostRuns(): Operation<boolean> {
  return new RequestOperation("hostRuns", HOST_RUNS);
}

class SystemRequest extends AskRequest {
  protected answer({ scheduler, task }: Suspension): System {
    const { system } = scheduler.driver;
    if (system !== undefined) return system;
    throw new UnsupportedError(`${task.name} needs the network, but its executor's driver has no system`);
  }
}

class SystemToOpenRequest extends SystemRequest {
  override get isSuspendPoint(): boolean {
    return true;
  }
}

class HostRunsRequest extends AskRequest {
  protected answer({ scheduler }: Suspension): boolean {
    return !scheduler.isBlocking;
  }
}

const CURRENT_SYSTEM = new SystemRequest();
const SYSTEM_TO_OPEN = new SystemToOpenRequest();
const HOST_RUNS = new HostRunsRequest();
