/**
 * `ProcessSystem` on Windows: `Bun.spawn` starts children, a job object keeps each with its descendants.
 *
 * Facts. Windows has no signals: a process can be ended by another (TerminateProcess), which it does not notice, and
 * nothing milder reaches one without a console (`process.kill` of Node.js). Bun says afterwards that the signal has ended
 * it, as Node.js does.
 *
 * Decision. Each signal that can be sent ends the whole group at once, SIGTERM as well as SIGKILL: grace has no meaning
 * here. The end of a child is what Bun tells, that of its group what its job tells.
 */

import { constants } from "node:os";
import type { ProcessOrder, ProcessSystem } from "../core/process-system.ts";
import { errorNumber } from "./error-numbers.ts";
import { openHostPipe } from "./host-pipe.ts";
import { Job } from "./job.ts";
import { absentCall } from "./platform.ts";
import { Child } from "./spawn-child.ts";

export function windowsProcesses(): ProcessSystem {
  const groups = new Map<number, WindowsGroup>();
  const absent = absentCall("processesInBlockOn", "win32");
  return {
    pipesHaveReadiness: false,
    openPipe: openHostPipe,
    hasDescriptors: false,
    refuseBlocking: absent,
    open: absent,
    peekStatus: absent,
    start: (order) => {
      const group = new WindowsGroup(order);
      groups.set(group.processId, group);
      return group;
    },
    signalGroup: (groupId, signal) => {
      const group = groups.get(groupId);
      if (group === undefined) return NO_SUCH_PROCESS;
      if (signal !== 0) return group.signal(signal);
      if (group.members().length > 0) return 0;
      // The number may be another's from now on.
      groups.delete(groupId);
      group.close();
      return NO_SUCH_PROCESS;
    },
    signalNumber: (name) => ENDING_SIGNALS.get(name),
    membersOf: (groupId) => groups.get(groupId)?.members() ?? [],
  };
}

/** A child with what it has started. */
class WindowsGroup extends Child {
  /** Null if the system gives none: then the child is all that can be reached. */
  private readonly job: Job | null;

  constructor(order: ProcessOrder) {
    super(order, { windowsHide: true });
    this.job = Job.of(this.processId);
  }

  /** Those that have not ended. */
  members(): number[] {
    if (this.job !== null) return this.job.members();
    return this.status === null ? [this.processId] : [];
  }

  signal(signal: number): number {
    if (this.members().length === 0) return NO_SUCH_PROCESS;
    if (!ENDING_NUMBERS.includes(signal)) return errorNumber("ENOSYS");
    // Bun notes by which signal it ends; the others end with it.
    if (this.status === null) this.child.kill(signal);
    this.job?.terminate(SIGNALLED + signal);
    return 0;
  }

  close(): void {
    this.job?.close();
  }
}

/** Those that `process.kill` of Node.js ends a process by on Windows. */
const ENDING_SIGNALS: ReadonlyMap<string, number> = new Map(
  (["SIGINT", "SIGQUIT", "SIGTERM", "SIGKILL"] as const).map((name) => [name, constants.signals[name]]),
);
const ENDING_NUMBERS: readonly number[] = [...ENDING_SIGNALS.values()];

const NO_SUCH_PROCESS = errorNumber("ESRCH");

/** As shells count it. */
const SIGNALLED = 128;
