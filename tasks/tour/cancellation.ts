/** A tree of sleeping tasks that is cancelled at its root: every task of it cleans up, after its children have. */

import { cancel, type Operation, sleep, spawn, type Task, yieldNow } from "../../src/index.ts";
import { count, type Row, time } from "./table.ts";

export function* cancellation(): Operation<Row[]> {
  const tree = new Tree();
  const root = yield* spawn(tree.branch(0));
  while (tree.sleeping < TASKS) yield* yieldNow();
  const beginMs = performance.now();
  yield* cancel(root);
  return [
    {
      what: `tree of ${count(TASKS)} tasks cancelled`,
      ours: `${count(tree.cleanedUp)} in ${time(performance.now() - beginMs)}`,
    },
  ];
}

class Tree {
  sleeping = 0;
  cleanedUp = 0;

  /** The task with a number; its children have ten times that number, and one to ten more. */
  *branch(number: number): Operation<void> {
    const children: Task<void>[] = [];
    try {
      for (let child = number * ARITY + 1; child <= number * ARITY + ARITY && child < TASKS; child++) {
        children.push(yield* spawn(this.branch(child)));
      }
      this.sleeping++;
      yield* sleep(Infinity);
    } finally {
      for (const child of children) yield* cancel(child);
      this.cleanedUp++;
    }
  }
}

const TASKS = 10_000;
const ARITY = 10;
