// Scopes of Effection 4.

import { type Operation, run, scoped, spawn, type Task } from "effection";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { RESOLVED } from "./actions.ts";

export const jobs: Jobs = {
  empty: (count) => measureCost(() => run(() => repeat(count, () => scoped(child)))),

  "ten children": (count) => measureCost(() => run(() => repeat(count, () => scoped(() => tenOf(child))))),

  "ten that yield": (count) => measureCost(() => run(() => repeat(count, () => scoped(() => tenOf(yieldingChild))))),

  "spawn and join": (count) => measureCost(() => run(() => scoped(() => repeat(count, spawnAndJoin)))),
};

const CHILDREN = 10;

function* repeat(count: number, operation: () => Operation<unknown>): Operation<void> {
  for (let index = 0; index < count; index++) yield* operation();
}

function* tenOf(body: () => Operation<number>): Operation<void> {
  const tasks: Task<number>[] = [];
  for (let index = 0; index < CHILDREN; index++) tasks.push(yield* spawn(body));
  for (const task of tasks) yield* task;
}

function* spawnAndJoin(): Operation<void> {
  yield* yield* spawn(child);
}

function* child(): Operation<number> {
  return 1;
}

function* yieldingChild(): Operation<number> {
  yield* RESOLVED;
  return 1;
}
