/** The process of a program while its main task runs: what its signals and its end mean to the task. */

import { constants } from "node:os";
import { BusyError, DeadlockError } from "../core/errors.ts";
import type { TaskSnapshot } from "../core/task-tree.ts";
import { failureText } from "./failure-text.ts";

/** What the tasks of a program are cancelled for when it is sent a signal. */
export class SignalError extends Error {
  override readonly name = "SignalError";

  constructor(
    /** The name of the signal. */
    readonly signal: NodeJS.Signals,
  ) {
    super(`the program was sent ${signal}`);
  }
}

/** Sees the live tasks. */
export interface TaskView {
  taskTree(): readonly TaskSnapshot[];
  dumpTasks(): string;
}

/** One for each process. Listens from its making until it is disposed of. */
export class Program implements Disposable {
  private readonly controller = new AbortController();
  /** When the main task was cancelled. */
  private cancelledAtMs = Infinity;

  /**
   * @param signals those that cancel the main task
   * @param echoMs how long after the first its repetition is taken for an echo
   * @throws BusyError if there is one
   */
  constructor(
    private readonly signals: readonly NodeJS.Signals[],
    private readonly echoMs: number,
    private readonly tasks: TaskView,
  ) {
    takePlace(this);
    for (const name of signals) process.on(name, this.receive);
    process.on(DUMP_SIGNAL, this.dump);
    process.on("beforeExit", this.breakDeadlock);
  }

  [Symbol.dispose](): void {
    delete host[PROGRAM];
    for (const name of this.signals) process.off(name, this.receive);
    process.off(DUMP_SIGNAL, this.dump);
    process.off("beforeExit", this.breakDeadlock);
  }

  /** Is aborted when the main task is to end. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** The main task has ended with an error. */
  failed(error: unknown): void {
    if (error instanceof SignalError && error === this.signal.reason) process.exitCode = exitCodeOf(error.signal);
    else {
      process.exitCode = FAILED;
      console.error(failureText(error));
    }
  }

  private readonly receive = (name: NodeJS.Signals): void => {
    if (!this.signal.aborted) this.cancel(new SignalError(name));
    else if (!this.isEcho(name)) process.exit(exitCodeOf(name));
  };

  /**
   * A terminal sends Ctrl-C to all processes of the program, and what has started the program may send it once more, as
   * `bun run` 1.4.5 does: the user has pressed it once.
   */
  private isEcho(name: NodeJS.Signals): boolean {
    const { reason } = this.signal;
    const isRepetition = reason instanceof SignalError && reason.signal === name;
    return isRepetition && performance.now() - this.cancelledAtMs < this.echoMs;
  }

  private cancel(reason: Error): void {
    this.cancelledAtMs = performance.now();
    this.controller.abort(reason);
  }

  private readonly dump = (): void => void process.stderr.write(this.tasks.dumpTasks());

  /** Bun's event loop has nothing left to do, and the main task still waits. */
  private readonly breakDeadlock = (): void => {
    if (this.signal.aborted) return;
    const waits = [...flatten(this.tasks.taskTree())].map(({ name, waitsFor }) => ({ taskName: name, waitsFor }));
    this.cancel(DeadlockError.ofAll(waits));
  };
}

/** Takes the place of the program of before, if that was loaded anew, and its run will never settle. */
function takePlace(program: Program): void {
  const other = host[PROGRAM];
  if (other instanceof Program) throw new BusyError("main: another main task runs, and a process has one");
  other?.[Symbol.dispose]();
  host[PROGRAM] = program;
}

function* flatten(tasks: readonly TaskSnapshot[]): Generator<TaskSnapshot, void, undefined> {
  for (const task of tasks) {
    yield task;
    yield* flatten(task.children);
  }
}

/** What shells call the end by a signal. */
function exitCodeOf(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}

const FAILED = 1;
const DUMP_SIGNAL = "SIGUSR1";

/** Kept with the host, and not in this module, which `bun --hot` loads again in the same process. */
const PROGRAM = Symbol.for("bun-reactor.program");
const host = globalThis as { [PROGRAM]?: Disposable };
