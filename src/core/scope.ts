/**
 * A scope owns child tasks: it waits for them, cancels them, and collects their errors. No child outlives its scope.
 *
 * There is one for each `scope(…)`, one for each task that spawns (its children are the task's own), and one at the root
 * of each run, with the main task as its only child.
 */

import { ClosedError, combineErrors } from "./errors.ts";
import { type Operation, RequestOperation, type TaskBody } from "./operation.ts";
import { AskRequest, SuspendRequest, type Suspension, type Undo } from "./request.ts";
import { spawnSite } from "./spawn-site.ts";
import type { SpawnOptions, Task } from "./task.ts";

/** What the children belong to: a task, or the part of one that a `scope(…)` is. */
export interface ScopeOwner {
  /** The task in which the scope is. */
  readonly ownTask: Task<unknown> | null;
  /** Cancels what runs beside the children: the body of the scope. */
  cancelBody(reason: unknown): void;
}

export class Scope {
  private youngest: Task<unknown> | null = null;
  /** How many children are waited for; the others are daemons. */
  private foreground = 0;
  private readonly errors: unknown[] = [];
  /** Supervised children that failed, whose error nobody has asked for yet. */
  private unclaimed: Set<Task<unknown>> | null = null;
  private isEnding = false;
  private hasEnded = false;
  private reasonToEnd: unknown = undefined;
  /** Called when the last child has ended. */
  private whenEmpty: (() => void) | null = null;

  constructor(
    /** Null at the root of a run. */
    readonly owner: ScopeOwner | null,
    /** How long a child's clean-up may take, in milliseconds. */
    public cleanupMs: number,
    /** What messages call the scope. */
    readonly label: string,
  ) {}

  /**
   * Starts a child of this scope, from whichever task. `spawn` does the same in the innermost scope that is open.
   * @returns the child
   * @throws ClosedError if the scope has ended; TypeError if `body` is neither a generator function nor an operation
   */
  spawn<T>(body: TaskBody<T>, options?: SpawnOptions): Operation<Task<T>> {
    return new RequestOperation("spawn", new SpawnRequest(this, body, options, spawnSite()));
  }

  /**
   * Asks all children to end, the youngest first, and the body of the scope, which then ends with a `CancelledError`; a
   * body that has returned already keeps its value. Children that are still spawned are cancelled as well.
   */
  cancel(reason?: unknown): void {
    if (this.hasEnded) return;
    this.cancelChildren(reason);
    this.owner?.cancelBody(reason);
  }

  get isEmpty(): boolean {
    return this.youngest === null;
  }

  /** Whether the children are being cancelled, those included that are still spawned. */
  get isClosing(): boolean {
    return this.isEnding;
  }

  /** What the children are cancelled for. */
  get reason(): unknown {
    return this.reasonToEnd;
  }

  get hasFailed(): boolean {
    return this.errors.length > 0 || (this.unclaimed !== null && this.unclaimed.size > 0);
  }

  /** All errors as one, in the order in which they came; those that nobody asked for at the end. */
  takeError(): unknown {
    const errors = this.errors.splice(0);
    for (const task of this.unclaimed ?? []) errors.push(task.error);
    this.unclaimed = null;
    this.isEnding = false;
    return combineErrors(errors, `${errors.length} errors in ${this.label}`);
  }

  /** What was cancelled has ended: for the clean-up of the body the scope is as it was before. */
  reopen(): void {
    this.isEnding = false;
  }

  /** The body has ended and so have all children: none may come any more. */
  end(): void {
    this.hasEnded = true;
  }

  add(task: Task<unknown>): void {
    if (this.hasEnded) throw new ClosedError(`${this.label} has ended: nothing can be spawned in it any more`);
    task.older = this.youngest;
    if (this.youngest !== null) this.youngest.younger = task;
    this.youngest = task;
    if (!task.isDaemon) this.foreground++;
  }

  remove(task: Task<unknown>): void {
    if (task.older !== null) task.older.younger = task.younger;
    if (task.younger !== null) task.younger.older = task.older;
    else this.youngest = task.older;
    task.older = null;
    task.younger = null;
    if (!task.isDaemon) this.foreground--;
    if (this.whenEmpty !== null) this.lookAround();
  }

  /**
   * Calls back once all children have ended; daemons are cancelled when no other is left. Null for nobody to call.
   */
  waitUntilEmpty(whenEmpty: (() => void) | null): void {
    this.whenEmpty = whenEmpty;
    if (whenEmpty !== null && this.youngest !== null) this.lookAround();
  }

  /** A child failed and nobody is joining it. */
  childFailed(task: Task<unknown>, error: unknown): void {
    if (task.isSupervised) (this.unclaimed ??= new Set()).add(task);
    else this.fail(error);
  }

  /** Somebody has asked for a supervised child's error, and so has it in hand. */
  claim(task: Task<unknown>): void {
    this.unclaimed?.delete(task);
  }

  /** Cancels all children and the body; the error comes out of the scope. */
  fail(error: unknown): void {
    const wasEnding = this.isEnding;
    this.bodyFailed(error);
    if (!wasEnding) this.owner?.cancelBody(error);
  }

  /** The body has failed, and so has ended: cancels all children; the error comes out of the scope. */
  bodyFailed(error: unknown): void {
    // Of several that joined one task each may bring its error.
    if (!this.errors.includes(error)) this.errors.push(error);
    if (!this.isEnding) this.cancelChildren(error);
  }

  /**
   * Cancels all children, the youngest first, and theirs, and so on. A deep tree does not nest the calls: those that come
   * while others are cancelled wait for them.
   */
  cancelChildren(reason: unknown): void {
    if (!this.isEnding) {
      this.isEnding = true;
      this.reasonToEnd = reason;
    }
    if (this.youngest === null) return;
    if (cascade !== null) cascade.push(this);
    else runCascade(this);
  }

  /** Part of `cancelChildren`. */
  cancelOwnChildren(): void {
    for (let task = this.youngest; task !== null; task = task.older) task.cancel(this.reasonToEnd);
  }

  /** The children, the youngest first. */
  *tasks(): Generator<Task<unknown>, void, unknown> {
    for (let task = this.youngest; task !== null; task = task.older) yield task;
  }

  private lookAround(): void {
    if (this.youngest === null) this.whenEmpty!();
    else if (this.foreground === 0) this.cancelChildren(DAEMONS_END);
  }
}

/** The scopes whose children are to be cancelled; null if none are at this moment. */
let cascade: Scope[] | null = null;

function runCascade(first: Scope): void {
  const scopes = [first];
  cascade = scopes;
  try {
    // The list grows as the children cancel their own.
    for (const scope of scopes) scope.cancelOwnChildren();
  } finally {
    cascade = null;
  }
}

/** What daemons are cancelled for. */
const DAEMONS_END = "all that it served has ended";

/** Waits until all children of a scope have ended. */
export class DrainRequest extends SuspendRequest implements Undo {
  constructor(
    private readonly scope: Scope,
    /** Whether a cancelled task ends here: not where it waits for children that are being cancelled with it. */
    private readonly canBeCancelled: boolean,
  ) {
    super();
  }

  /** To cancel a wait for children that are being cancelled would not shorten it, only lose what the body returned. */
  override get isSuspendPoint(): boolean {
    return this.canBeCancelled && !this.scope.isClosing;
  }

  describe(): string {
    const names = [...this.scope.tasks()].map((task) => task.name);
    const shown = names.slice(0, SHOWN_NAMES).join(", ");
    const rest = names.length - SHOWN_NAMES;
    return `the end of ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
  }

  arm(suspension: Suspension): Undo | null {
    if (!this.scope.isEmpty) {
      this.scope.waitUntilEmpty(() => {
        this.scope.waitUntilEmpty(null);
        suspension.resume(undefined);
      });
      return this;
    }
    suspension.resume(undefined);
    return null;
  }

  undo(): void {
    this.scope.waitUntilEmpty(null);
  }

  /** The wait takes too long: the children are cancelled. If they are already, their own clean-up has a limit. */
  interrupt(error: Error): void {
    if (!this.scope.isClosing) this.scope.fail(error);
  }
}

const SHOWN_NAMES = 3;

/** Starts a child, in a scope or in the innermost of the task that asks. */
export class SpawnRequest<T> extends AskRequest {
  constructor(
    private readonly scope: Scope | null,
    private readonly body: TaskBody<T>,
    private readonly options: SpawnOptions = NO_OPTIONS,
    /** Where it was asked for, if that is traced. */
    private readonly site: string | null,
  ) {
    super();
  }

  protected answer({ scheduler, task }: Suspension): Task<T> {
    return scheduler.startChild(task, this.scope ?? task.currentScope, this.body, this.options, this.site);
  }
}

const NO_OPTIONS: SpawnOptions = {};
