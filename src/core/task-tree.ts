/** The live tasks as a tree: what each is, what it waits for, since when, and where it was spawned. */

import type { Scope } from "./scope.ts";
import type { Task, TaskState } from "./task.ts";

/** One live task as it was when it was asked for. */
export interface TaskSnapshot {
  readonly id: number;
  readonly name: string;
  readonly state: TaskState;
  /** In words; empty if it does not wait. */
  readonly waitsFor: string;
  /** For how long it has been in this state, in milliseconds, to the precision of the executor's turns. */
  readonly forMs: number;
  /** File, line and column; null unless `traceSpawns(true)` was called before. */
  readonly spawnedAt: string | null;
  readonly isDaemon: boolean;
  /** The children, the oldest first. */
  readonly children: readonly TaskSnapshot[];
}

/** The tasks of a scope and all that are below them, the oldest first. */
export function snapshotOf(scope: Scope, nowNs: number): TaskSnapshot[] {
  return [...scope.tasks()].toReversed().map((task) => snapshotOfTask(task, nowNs));
}

/** All tasks of a scope and below, each after those around it. A deep tree does not nest the calls. */
export function* tasksWithin(root: Scope): Generator<Task<unknown>, void, unknown> {
  const scopes = [root];
  for (const scope of scopes) {
    for (const task of [...scope.tasks()].toReversed()) {
      yield task;
      scopes.push(...task.scopes());
    }
  }
}

/** The tree as text, a line for each task. */
export function formatTree(tasks: readonly TaskSnapshot[], indentation = ""): string {
  return tasks.map((task) => formatTask(task, indentation)).join("");
}

function formatTask(task: TaskSnapshot, indentation: string): string {
  const wait = task.waitsFor === "" ? "" : `, waits for ${task.waitsFor}`;
  const site = task.spawnedAt === null ? "" : `, spawned at ${task.spawnedAt}`;
  const daemon = task.isDaemon ? ", daemon" : "";
  const line = `${indentation}${task.name}: ${task.state} for ${task.forMs.toFixed(1)} ms${wait}${daemon}${site}\n`;
  return line + formatTree(task.children, `${indentation}  `);
}

function snapshotOfTask(task: Task<unknown>, nowNs: number): TaskSnapshot {
  const scopes = [...task.scopes()].toReversed();
  return {
    id: task.id,
    name: task.name,
    state: task.state,
    waitsFor: task.waitsFor,
    forMs: Math.max(0, nowNs - task.sinceNs) / NS_PER_MS,
    spawnedAt: task.spawnedAt,
    isDaemon: task.isDaemon,
    children: scopes.flatMap((scope) => snapshotOf(scope, nowNs)),
  };
}

const NS_PER_MS = 1_000_000;
