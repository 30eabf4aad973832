/**
 * A child with the processes that it has started in its turn: waiting for their end, and bringing it about.
 *
 * Facts. A child that leads a group of its own has its descendants in it, unless they leave it (setsid(2)). The kernel
 * reports the end of one process, by a descriptor of it, but not that a group is empty; and the number of a group may
 * be another's once it is. Bun takes the exit status of its children, in a turn of the host's loop.
 *
 * Decision. The end of the child is Bun's promise where the host's loop runs, and the descriptor where it does not
 * (`blockOn`), which takes nothing from Bun. After it, if the group has members left, they are looked up and waited for
 * one by one, by descriptor; where processes have none, they are looked for again and again, with pauses that double up
 * to a tenth of a second. Once nobody is left no signal is sent any more.
 */

import { now } from "../core/clock.ts";
import { hostRuns } from "../core/current-system.ts";
import { assertInteger, CleanupTimeoutError, describeValue, invariant, UnsupportedError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { promise } from "../core/park.ts";
import type { ExitStatus, StartedProcess } from "../core/process-system.ts";
import { InterestRequest } from "../core/request.ts";
import { sleep } from "../core/sleep.ts";
import { Delivery, Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { moveOnAfter } from "../core/time-limit.ts";

export class ProcessGroup {
  private peeked: ExitStatus | null = null;
  private isEmpty = false;

  constructor(
    private readonly system: System,
    private readonly started: StartedProcess,
    /** Whom messages name. */
    private readonly label: string,
  ) {}

  /** The number of the child, and of its group. */
  get id(): number {
    return this.started.processId;
  }

  /** How the child has ended; null while it runs. */
  get status(): ExitStatus | null {
    return this.peeked ?? this.started.status;
  }

  /**
   * For `blockOn`, in which only a descriptor tells of the end: kills the child if there is none.
   * @throws UnsupportedError then
   */
  refuseUnlessWaitable(): void {
    const descriptor = this.system.processes.open(this.id);
    if (descriptor < 0) {
      this.sendNamed("SIGKILL");
      throw this.explain(descriptor);
    }
    this.system.close(descriptor);
  }

  /** Waits for the end of the child itself. Several tasks may. */
  *childEnded(): Operation<ExitStatus> {
    if (this.status === null) {
      if (yield* hostRuns()) yield* promise(this.started.exited);
      else yield* this.endedInBlockOn();
    }
    const { status } = this;
    invariant(status !== null, `${this.label} has ended without a status`);
    return status;
  }

  /** Waits until the child and all others of its group have ended. */
  *emptied(): Operation<void> {
    yield* this.childEnded();
    for (let pauseMs = SHORTEST_PAUSE_MS; !this.isEmpty && this.hasMembers(); pauseMs *= 2) {
      // What counts as a member to the kernel may be a zombie that waits for its parent.
      const [member] = this.system.processes.membersOf(this.id);
      if (member === undefined) break;
      if (this.system.processes.hasDescriptors) yield* this.memberEnded(member);
      else yield* sleep(Math.min(pauseMs, LONGEST_PAUSE_MS));
    }
    this.isEmpty = true;
  }

  /**
   * Sends a signal to the child and all others of its group.
   * @returns whether there was one
   * @throws SystemError `EPERM` if all of them belong to somebody else
   */
  private send(signal: number): boolean {
    if (this.isEmpty) return false;
    const result = this.system.processes.signalGroup(this.id, signal);
    if (result >= 0) return true;
    const error = this.system.errorOf(result, "kill");
    if (error.code === "ESRCH") return false;
    throw error;
  }

  private hasMembers(): boolean {
    const result = this.system.processes.signalGroup(this.id, 0);
    // EPERM: there are some, and they belong to somebody else.
    return result >= 0 || this.system.errorOf(result, "kill").code !== "ESRCH";
  }

  /**
   * Asks the group to end (SIGTERM), kills what is left of it after the grace period (SIGKILL), and waits for its end.
   */
  *terminate(graceMs: number): Operation<void> {
    if (this.isEmpty) return;
    this.sendNamed("SIGTERM");
    // What is stopped finds its signals when it goes on. Windows stops nobody.
    if (this.system.processes.signalNumber("SIGCONT") !== undefined) this.sendNamed("SIGCONT");
    try {
      yield* moveOnAfter(graceMs, this.emptied());
    } finally {
      // Also if the clean-up that this is part of has no time left.
      if (!this.isEmpty) yield* this.killed();
    }
  }

  /** Who is killed ends soon, and is waited for though a clean-up without time is interrupted again and again. */
  private *killed(): Operation<void> {
    this.sendNamed("SIGKILL");
    const givesUpMs = (yield* now()) + LONGEST_DEATH_MS;
    for (;;) {
      try {
        return yield* this.emptied();
      } catch (error) {
        if (!(error instanceof CleanupTimeoutError) || (yield* now()) >= givesUpMs) throw error;
      }
    }
  }

  /**
   * The same, by the signal's name or its number.
   * @throws TypeError for a name that is none; RangeError for a number that is none
   */
  sendNamed(signal: NodeJS.Signals | number): boolean {
    if (typeof signal === "number") assertInteger("kill: signal", signal, 0, HIGHEST_SIGNAL);
    const number = typeof signal === "number" ? signal : this.system.processes.signalNumber(signal);
    if (number !== undefined) return this.send(number);
    throw new TypeError(`kill: ${describeValue(signal)} is no signal of this system: it is called like "SIGTERM"`);
  }

  private *endedInBlockOn(): Operation<void> {
    const descriptor = this.system.processes.open(this.id);
    if (descriptor < 0) throw this.explain(descriptor);
    yield* this.readable(descriptor, () => {
      const status = this.system.processes.peekStatus(descriptor);
      if (typeof status === "number") throw this.explain(status);
      this.peeked = status;
    });
  }

  /** A process that leaves the group meanwhile is waited for until it ends, or until the group is to end. */
  private *memberEnded(processId: number): Operation<void> {
    const { processes } = this.system;
    const descriptor = processes.open(processId);
    if (descriptor < 0) {
      const error = this.system.errorOf(descriptor, "pidfd_open");
      if (error.code === "ESRCH") return;
      throw error;
    }
    yield* this.readable(descriptor);
  }

  /** Waits until the descriptor is readable, takes what there is to take, and closes it. */
  private *readable(descriptor: number, take?: () => void): Operation<void> {
    const source = new Source(descriptor, Delivery.EDGE, { label: `the end of ${this.label}` });
    try {
      while ((source.readiness & Readiness.READABLE) === 0)
        yield* new RequestOperation("wait", new InterestRequest(source, Interest.READABLE));
      take?.();
    } finally {
      source.close();
      this.system.close(descriptor);
    }
  }

  /**
   * The child's status has been taken by a thread of Bun's, or cannot be looked at: on old kernels, and in some
   * sandboxes.
   */
  private explain(result: number): unknown {
    const error = this.system.errorOf(result, "pidfd_open");
    if (!NO_DESCRIPTORS_OF_PROCESSES.includes(error.code)) return error;
    return new UnsupportedError(
      `${this.label} cannot be waited for inside blockOn, because this kernel has no descriptors of processes: use run instead`,
      { cause: error },
    );
  }
}

const NO_DESCRIPTORS_OF_PROCESSES: readonly string[] = ["ENOSYS", "ESRCH", "ECHILD", "EINVAL"];

const SHORTEST_PAUSE_MS = 1;

/** To look who is left may take some milliseconds, and nobody notices a tenth of a second. */
const LONGEST_PAUSE_MS = 100;

/** Only a process that hangs in the kernel, on a broken device or a file server, takes longer. */
const LONGEST_DEATH_MS = 5_000;

/** The last of the real-time signals of Linux (signal(7)). */
const HIGHEST_SIGNAL = 64;
