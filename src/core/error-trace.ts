/**
 * What an error tells of where it came from: the task in which it happened, and the tasks around that; and, if it was
 * thrown into a task from outside (a promise's rejection, a reset connection), where the task waited.
 */

import type { Task } from "./task.ts";

const paths = new WeakMap<object, readonly string[]>();
const SHOWN_PATH = Symbol("task");

/**
 * The names of the task in which the error came up and of those around it, the innermost first; empty if it came up in
 * no task. An error's `stack` ends with them, too.
 */
export function taskPathOf(error: unknown): readonly string[] {
  return (isObject(error) ? paths.get(error) : undefined) ?? [];
}

/** Notes in which task an error came up; the innermost counts. */
export function notePath(error: unknown, task: Task<unknown>): void {
  if (!isObject(error) || paths.has(error)) return;
  const path = pathOf(task);
  paths.set(error, path);
  // Bun shows an error's properties when it prints one, but nothing that was added to its stack.
  Reflect.defineProperty(error, SHOWN_PATH, { value: path.join(" of "), enumerable: true, configurable: true });
  appendToStack(error, path.map((name, index) => `    ${index === 0 ? "in" : "of"} ${name}`).join("\n"));
}

/**
 * Adds to an error that is thrown into a task where the task waits. Called with the task's generators on the stack.
 * @returns the error
 */
export function withFrames(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const frames = framesOfTask(new Error().stack ?? "");
  if (frames !== "") appendToStack(error, `    thrown into a task that waited:\n${frames}`);
  return error;
}

/** The names of the task and of those around it, up to a number. */
function pathOf(task: Task<unknown>): readonly string[] {
  const path: string[] = [];
  for (let next: Task<unknown> | null = task; next !== null; next = next.parent) {
    if (path.length === LONGEST_PATH) return [...path, "more tasks"];
    path.push(next.name);
  }
  return path;
}

/** The lines of a stack that are between the leaf that throws and the executor: the generators. */
function framesOfTask(stack: string): string {
  const lines = stack.split("\n").filter((line) => line.trimStart().startsWith("at "));
  const first = lines.findIndex((line) => !LEAF_FRAME.test(line));
  const end = lines.findIndex((line) => EXECUTOR_FRAME.test(line));
  const own = lines.slice(Math.max(first, 0), end === -1 ? undefined : end);
  return own.filter((line) => !CORE_FRAME.test(line)).join("\n");
}

/** The leaf that throws, and this module. */
const LEAF_FRAME = /\b(withFrames|throw) \(/;
/** In these sources, and in what is made of them for the package; on Windows as well. */
const EXECUTOR_FRAME = /[/\\]core[/\\]task\.[jt]s/;
/** Regions, and what unwinds. */
const CORE_FRAME = /[/\\]core[/\\]\w+\.[jt]s/;

function appendToStack(error: object, text: string): void {
  const { stack } = error as { stack?: unknown };
  if (typeof stack !== "string" || stack.includes(text)) return;
  // An error may be frozen, or have a stack of its own making: then it stays as it is.
  Reflect.set(error, "stack", `${stack}\n${text}`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Nobody reads more, and a chain of tasks that spawn each other may be long. */
const LONGEST_PATH = 32;
