/**
 * Calls on processes: a part of the `System`. They return a negated error number if they fail, unless they say
 * otherwise.
 */

import type { TransferCalls } from "./file-system.ts";
import type { Readiness } from "./interest.ts";

/** How a process has ended: one of the two is not null. */
export interface ExitStatus {
  /** From 0 to 255, on Windows any number of 32 bits; null if a signal has ended the process. */
  readonly exitCode: number | null;
  /** The signal that has ended the process, by its number if it has no name (a real-time signal); null if none has. */
  readonly signal: NodeJS.Signals | number | null;
}

/**
 * What one of the three standard descriptors of a process is: this process's own, nothing (/dev/null), or a
 * descriptor's file.
 */
export type ChildDescriptor = "inherit" | "ignore" | number;

/** What is to be started. */
export interface ProcessOrder {
  /** The program, which is looked for in `PATH` unless it has a slash, and its arguments. */
  readonly command: readonly string[];
  /** By default that of this process. */
  readonly folder: string | undefined;
  /** By default that of this process. */
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
  readonly descriptors: readonly [ChildDescriptor, ChildDescriptor, ChildDescriptor];
}

/** A child. Who started it takes its exit status from the system, which happens in a turn of the host's loop. */
export interface StartedProcess {
  readonly processId: number;
  /** Once it has been taken. */
  readonly status: ExitStatus | null;
  /** Settles when `status` is there, and the process is gone from the system. */
  readonly exited: Promise<unknown>;
}

/** Which end of a pipe the child has. */
export const ChildEnd = { READS: 0, WRITES: 1 } as const;
export type ChildEnd = (typeof ChildEnd)[keyof typeof ChildEnd];

/**
 * A pipe to a child that the host moves the bytes of: our end of it. The calls are those of a descriptor, but take no
 * notice of which.
 */
export interface HostPipe extends TransferCalls {
  /** The child's end, to be given to it. */
  readonly childDescriptor: number;
  /** Closes the child's end here, once the child has it, or never will. */
  closeChildEnd(): void;
  /** Closes our end; what was written is still delivered. */
  close(): void;
}

export interface ProcessSystem {
  /**
   * Whether the event queue tells when a pipe is ready. Where it does not, pipes to children are opened by `openPipe`,
   * and else by `files.makePipe`.
   */
  readonly pipesHaveReadiness: boolean;
  /** Opens a pipe; `tell` is called whenever our end becomes ready. Rejects with a SystemError. */
  openPipe(end: ChildEnd, tell: (readiness: Readiness) => void): Promise<HostPipe>;
  /** Whether there are descriptors of processes. Where there are none, `open` and `peekStatus` throw. */
  readonly hasDescriptors: boolean;
  /**
   * Starts a process as the leader of a session and a group of its own (on Windows: in a job object of its own), with
   * signals as they are by default, and without any descriptor but its three.
   * @throws SystemError that names the program or the folder
   */
  start(order: ProcessOrder): StartedProcess;
  /** Refuses children in `blockOn`, where only a descriptor tells of their end. @throws UnsupportedError */
  refuseBlocking(): void;
  /** A descriptor that is readable once the process has ended (pidfd_open(2)). */
  open(processId: number): number;
  /**
   * How a child has ended, by its descriptor, without taking its status; or an error number, while it runs that of
   * "would block".
   */
  peekStatus(descriptor: number): ExitStatus | number;
  /** Sends a signal to every process of a group; 0 sends nothing, and only asks whether there is one. */
  signalGroup(groupId: number, signal: number): number;
  /** The number of a signal by its name; undefined if none that can be sent has it. */
  signalNumber(name: string): number | undefined;
  /** The processes of a group that have not ended. */
  membersOf(groupId: number): readonly number[];
}
