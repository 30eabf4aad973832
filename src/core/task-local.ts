/** Values that belong to a task and to those that it spawns: a request's id, the current user. */

import { startBody } from "./body.ts";
import { type Operation, RequestOperation, type TaskBody } from "./operation.ts";
import { AskRequest, type Suspension } from "./request.ts";

/** One value of a task. The list is shared with the tasks that inherit it, and so never changed. */
export interface LocalValue {
  readonly local: TaskLocal<unknown>;
  readonly value: unknown;
  readonly next: LocalValue | null;
}

/**
 * A variable of which every task has its own: a spawned task begins with the value of the task that spawned it, and
 * from then on neither sees what the other sets (Python's contextvars).
 */
export class TaskLocal<T> {
  /** @param initial the value where none was set */
  constructor(private readonly initial: T) {}

  /** The current task's value. */
  get(): Operation<T> {
    return new RequestOperation("TaskLocal.get", new GetRequest(this));
  }

  /** Sets the current task's value, which tasks that it spawns from now on inherit. */
  set(value: T): Operation<void> {
    return new RequestOperation("TaskLocal.set", new SetRequest(this as TaskLocal<unknown>, value));
  }

  /**
   * Runs a body with another value, and sets the former one again afterwards.
   * @returns what the body returned
   * @throws what the body threw; TypeError if `body` is neither a generator function nor an operation
   */
  *with<R>(value: T, body: TaskBody<R>): Operation<R> {
    const before = yield* this.get();
    yield* this.set(value);
    try {
      return yield* startBody(body, "TaskLocal.with");
    } finally {
      yield* this.set(before);
    }
  }

  /** The value in a task's list. */
  find(values: LocalValue | null): T {
    for (let entry = values; entry !== null; entry = entry.next) {
      if (entry.local === (this as TaskLocal<unknown>)) return entry.value as T;
    }
    return this.initial;
  }
}

class GetRequest<T> extends AskRequest {
  constructor(private readonly local: TaskLocal<T>) {
    super();
  }

  protected answer({ task }: Suspension): T {
    return this.local.find(task.locals);
  }
}

class SetRequest extends AskRequest {
  constructor(
    private readonly local: TaskLocal<unknown>,
    private readonly value: unknown,
  ) {
    super();
  }

  protected answer({ task }: Suspension): void {
    task.locals = { local: this.local, value: this.value, next: without(this.local, task.locals) };
  }
}

/** The list without a variable: a task that sets one again and again must not grow. */
function without(local: TaskLocal<unknown>, values: LocalValue | null): LocalValue | null {
  if (values === null) return null;
  if (values.local === local) return values.next;
  const next = without(local, values.next);
  return next === values.next ? values : { ...values, next };
}
