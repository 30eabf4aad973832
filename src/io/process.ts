/**
 * Child processes. A child belongs to the scope, or the task, that has started it, as a spawned task does: it does not
 * outlive it, nor do the processes that it has started in its turn.
 *
 * Facts. A pipe's ends are open file descriptions of their own (pipe(7)), and O_NONBLOCK belongs to the description:
 * most programs break when they find their standard input or output non-blocking. A signal to a group (kill(2)) reaches
 * what a shell has started; one to the shell alone does not.
 *
 * Decision. Each pipe is non-blocking at our end, blocking at the child's, and the child's ends are closed here as soon
 * as it has them. The child leads a session and a group of its own; so a Ctrl-C at the terminal reaches it only through
 * us. A daemon task of the scope keeps it: it waits for the end of the group, and when it is cancelled, because the
 * scope ends, it ends the group, and waits.
 */

import { currentSystem, hostRuns } from "../core/current-system.ts";
import { disposeOperation, type OperationDisposable } from "../core/dispose-operation.ts";
import { assertInteger, assertTime, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { ExitStatus } from "../core/process-system.ts";
import type { Task } from "../core/task.ts";
import { ended, spawn } from "../core/task-operations.ts";
import { yieldNow } from "../core/yield-now.ts";
import { type ChildPipes, ChildPipesToBe, type ChildStream, type StreamName } from "./child-pipes.ts";
import type { PipeReader, PipeStream, PipeWriter } from "./pipe.ts";
import { ProcessGroup } from "./process-group.ts";

export type { ChildStream } from "./child-pipes.ts";

export interface ProcessOptions {
  /** By default `"ignore"`. On Windows what the child does not read of a pipe lies in memory, without a limit. */
  readonly stdin?: ChildStream | undefined;
  /** By default `"pipe"`: what nobody reads stops the child once the pipe is full. */
  readonly stdout?: ChildStream | undefined;
  /** By default `"inherit"`. */
  readonly stderr?: ChildStream | undefined;
  /** The folder to start it in; by default the current one. */
  readonly cwd?: string | undefined;
  /** Its whole environment; by default that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * How long its group may take to end after SIGTERM before it is killed (SIGKILL), in milliseconds; by default 3,000.
   * The clean-up of the scope has its own limit (`cleanupMs`, by default 5,000): when that is reached the group is
   * killed too, and the scope ends with a `CleanupTimeoutError`.
   */
  readonly graceMs?: number | undefined;
}

/**
 * Starts a program, without a shell between. It is looked for in `PATH`, unless its name has a slash.
 *
 *     const child = yield* startProcess(["sort"], { stdin: "pipe" });
 *     yield* child.stdin.write("b\na\n");
 *     yield* child.stdin.shutdown();
 *     const sorted = yield* child.stdout.readToEnd();
 *     const { exitCode } = yield* child.wait();
 *
 * The child belongs to the innermost scope that is open, or to the task: when that ends, is cancelled or fails, the
 * child's group gets SIGTERM, and SIGKILL after `graceMs`; the scope waits until it has ended, and closes its pipes. To
 * end it earlier, use `stop`, `using`, or `use(startProcess(…), …)`. What the child leaves running in its group when it
 * ends by itself ends with the scope as well; what has left its group, as daemons do, is not reached.
 * @param command the program and its arguments
 * @throws TypeError or RangeError for arguments that are none; SystemError that names the program or the folder:
 *   `ENOENT`, `EACCES`, `ENOTDIR`, `EBADF` for a descriptor that is closed, `EMFILE`, `E2BIG`; UnsupportedError in
 *   `blockOn`, if the kernel has no descriptors of processes (before Linux 5.4)
 */
export function* startProcess(command: readonly string[], options: ProcessOptions = {}): Operation<ChildProcess> {
  assertCommand(command);
  const { stdin = "ignore", stdout = "pipe", stderr = "inherit", cwd, env, graceMs = DEFAULT_GRACE_MS } = options;
  assertStreams({ stdin, stdout, stderr });
  assertTime("startProcess: graceMs", graceMs);
  if (cwd !== undefined) assertText("startProcess: cwd", cwd);
  // To start a process takes a millisecond or more, so others get their turn between several.
  yield* yieldNow();
  const system = yield* currentSystem();
  const isBlocking = !(yield* hostRuns());
  if (isBlocking) system.processes.refuseBlocking();
  using pipes = new ChildPipesToBe(system);
  const descriptors = [
    yield* pipes.open("stdin", stdin),
    yield* pipes.open("stdout", stdout),
    yield* pipes.open("stderr", stderr),
  ] as const;
  const started = system.processes.start({ command, folder: cwd, environment: env, descriptors });
  const name = `child ${command[0]} (process ${started.processId})`;
  const group = new ProcessGroup(system, started, name);
  if (isBlocking) group.refuseUnlessWaitable();
  const child = new ChildProcess(name, group, pipes.take(name));
  child.keeper = yield* spawn(() => child.keep(graceMs), { daemon: true, name });
  return child;
}

/** A child that `startProcess` has started. */
export class ChildProcess implements Disposable, OperationDisposable {
  /** For `startProcess`: the daemon that waits for the end of the child, and brings it about when it is cancelled. */
  keeper!: Task<void>;

  /** For `startProcess`. */
  constructor(
    /** Words for messages, such as `child cat (process 7)`. */
    readonly label: string,
    private readonly group: ProcessGroup,
    private readonly pipes: ChildPipes,
  ) {}

  /** The number of the process, and of its group and session. */
  get pid(): number {
    return this.group.id;
  }

  /**
   * Writes to the child's standard input; `shutdown` ends it. `EPIPE` if the child reads no more.
   * @throws TypeError if it was not started with `stdin: "pipe"`
   */
  get stdin(): PipeWriter {
    return this.pipe("stdin");
  }

  /**
   * Reads the child's standard output. It ends when all that have it open have closed it, which others that the child
   * has started may do later than the child.
   * @throws TypeError if it was not started with `stdout: "pipe"`
   */
  get stdout(): PipeReader {
    return this.pipe("stdout");
  }

  /**
   * Reads the child's standard error.
   * @throws TypeError if it was not started with `stderr: "pipe"`
   */
  get stderr(): PipeReader {
    return this.pipe("stderr");
  }

  /** How the child has ended; null while it runs, as far as is known. */
  get status(): ExitStatus | null {
    return this.group.status;
  }

  /**
   * Suspends the task until the child has ended; several tasks may wait. What it has written can still be read.
   *
   * In `run` the child is gone from the system by then. `blockOn` holds up Bun, which takes the exit status: there it
   * stays as a zombie (wait(2)) until the host's loop has its next turn.
   * @returns how it has ended
   */
  wait(): Operation<ExitStatus> {
    return this.group.childEnded();
  }

  /**
   * Sends a signal to the child and all others of its group, and does not wait.
   * @param signal its name, or its number; by default SIGTERM
   * @returns whether any of them was there to get it
   * @throws TypeError for a name that is none; RangeError for a number that is none; SystemError `EPERM`
   */
  kill(signal: NodeJS.Signals | number = "SIGTERM"): boolean {
    return this.group.sendNamed(signal);
  }

  /**
   * Ends the child and its group as the end of the scope would: SIGTERM, `graceMs`, SIGKILL. Suspends the task until
   * they have ended, and closes the child's pipes. A task that is cancelled meanwhile does not hold that up.
   * @returns how the child has ended
   * @throws SystemError `EPERM` if the child belongs to somebody else by now
   */
  *stop(): Operation<ExitStatus> {
    this.keeper.cancel(STOPPED);
    yield* ended(this.keeper);
    if (this.keeper.state === "failed") throw this.keeper.error;
    return this.status!;
  }

  /** Begins what `stop` does; the scope waits for it. */
  [Symbol.dispose](): void {
    this.keeper.cancel(STOPPED);
  }

  /** For `use`: does what `stop` does. */
  *[disposeOperation](): Operation<void> {
    yield* this.stop();
  }

  /** For `startProcess`: the body of the keeper. It ends when nothing of the child is left, open pipes included. */
  *keep(graceMs: number): Operation<void> {
    try {
      yield* this.group.emptied();
      yield* this.pipes.allClosed();
    } finally {
      try {
        yield* this.group.terminate(graceMs);
      } finally {
        this.pipes.close();
      }
    }
  }

  private pipe(name: StreamName): PipeStream {
    const pipe = this.pipes.get(name);
    if (pipe !== undefined) return pipe;
    throw new TypeError(`${this.label} has no ${name} here: start it with { ${name}: "pipe" }`);
  }
}

function assertCommand(command: unknown): asserts command is readonly string[] {
  if (!Array.isArray(command) || command.length === 0)
    throw new TypeError(
      `startProcess: command must be a list of the program and its arguments, but is ${describeValue(command)}`,
    );
  for (const part of command) assertText("startProcess: each part of command", part);
  if (command[0] === "") throw new TypeError("startProcess: the program's name is empty");
}

function assertText(name: string, value: unknown): asserts value is string {
  if (typeof value === "string" && !value.includes("\0")) return;
  throw new TypeError(`${name} must be a string without a zero byte, but is ${describeValue(value)}`);
}

function assertStreams(streams: Readonly<Record<StreamName, unknown>>): void {
  for (const [name, stream] of Object.entries(streams)) {
    if (typeof stream === "number") assertInteger(`startProcess: ${name}`, stream, 0, HIGHEST_DESCRIPTOR);
    else if (!STREAMS.includes(stream as string))
      throw new TypeError(
        `startProcess: ${name} must be "pipe", "inherit", "ignore" or a descriptor, but is ${describeValue(stream)}`,
      );
  }
}

const STREAMS: readonly string[] = ["pipe", "inherit", "ignore"];

const STOPPED = "the child was stopped";

/** Long for a program that puts its things in order, and well below the default of `cleanupMs`. */
const DEFAULT_GRACE_MS = 3_000;

/** Descriptors are the non-negative numbers of a C int. */
const HIGHEST_DESCRIPTOR = 0x7fffffff;
