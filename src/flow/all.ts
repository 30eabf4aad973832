/** `all` and `allSettled`: several operations at once, all to their end. */

import type { Operation, TaskBody } from "../core/operation.ts";
import { scope } from "../core/scope-region.ts";
import { ended } from "../core/task-operations.ts";
import type { Task } from "../core/task.ts";
import type { ValueOf } from "./arms.ts";
import { entriesOf } from "./assert-arms.ts";

/** The values of several arms, in the shape in which these were given. */
export type ValuesOf<A> = { -readonly [K in keyof A]: ValueOf<A[K]> };

/** How an arm has ended. */
export type Settled<T> =
  { readonly status: "fulfilled"; readonly value: T } | { readonly status: "rejected"; readonly reason: unknown };

export type SettledOf<A> = { -readonly [K in keyof A]: Settled<ValueOf<A[K]>> };

/**
 * Runs operations at once, each in a task of its own, and ends when all have. The first error cancels the others, and
 * is thrown when they have cleaned up.
 * @returns their values: a list or tuple for a list, an object with the same keys for an object
 * @throws what the first that failed threw (an `AggregateError` if others failed in their clean-up); `CancelledError`
 *   if one was cancelled by itself; TypeError if `arms` is neither a list nor an object, or an arm is no operation
 */
export function* all<const A extends readonly TaskBody<unknown>[] | Readonly<Record<string, TaskBody<unknown>>>>(
  arms: A,
): Operation<ValuesOf<A>> {
  const tasks = yield* runAll(entriesOf("all", arms), false);
  return collect(arms, tasks, valueOf) as ValuesOf<A>;
}

/**
 * Runs operations at once, each in a task of its own, and ends when all have, however they have.
 * @returns for each what `Promise.allSettled` would tell of it
 * @throws TypeError if `arms` is neither a list nor an object, or an arm is no operation
 */
export function* allSettled<const A extends readonly TaskBody<unknown>[] | Readonly<Record<string, TaskBody<unknown>>>>(
  arms: A,
): Operation<SettledOf<A>> {
  const tasks = yield* runAll(entriesOf("allSettled", arms), true);
  return collect(arms, tasks, settledOf) as SettledOf<A>;
}

type Entries = readonly (readonly [key: string, body: TaskBody<unknown>])[];
type Tasks = ReadonlyMap<string, Task<unknown>>;

function* runAll(entries: Entries, supervised: boolean): Operation<Tasks> {
  const tasks = new Map<string, Task<unknown>>();
  yield* scope(function* (own) {
    for (const [key, body] of entries) tasks.set(key, yield* own.spawn(body, { supervised }));
    if (supervised) for (const task of tasks.values()) yield* ended(task);
  });
  return tasks;
}

function collect(arms: unknown, tasks: Tasks, outcomeOf: (task: Task<unknown>) => unknown): unknown {
  const outcomes = [...tasks].map(([key, task]) => [key, outcomeOf(task)] as const);
  return Array.isArray(arms) ? outcomes.map(([, outcome]) => outcome) : Object.fromEntries(outcomes);
}

function valueOf(task: Task<unknown>): unknown {
  if (task.state === "cancelled") throw task.cancelledError();
  return task.value;
}

function settledOf(task: Task<unknown>): Settled<unknown> {
  if (task.state === "completed") return { status: "fulfilled", value: task.value };
  return { status: "rejected", reason: task.state === "failed" ? task.error : task.cancelledError() };
}
