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

/** The names of the task and of those around it. */
export function pathOf(task: Task<unknown>): readonly string[] {
  const path: string[] = [];
  for (let next: Task<unknown> | null = task; next !== null; next = next.parent) path.push(next.name);
  return path;
}

/** The lines of a stack that are between this module and the executor: the generators. */
function framesOfTask(stack: string): string {
  const lines = stack.split("\n").filter((line) => line.trimStart().startsWith("at "));
  const first = lines.findLastIndex((line) => OWN_FRAME.test(line)) + 1;
  const end = lines.findIndex((line, index) => index >= first && EXECUTOR_FRAME.test(line));
  return lines.slice(first, end === -1 ? undefined : end).join("\n");
}

/** The leaf that throws, and the two functions of this file. */
const OWN_FRAME = /\b(withFrames|throw) \(.*core\/(error-trace|operation)\.ts/;
const EXECUTOR_FRAME = /core\/(task|unwinding|region)\.ts/;

function appendToStack(error: object, text: string): void {
  const { stack } = error as { stack?: unknown };
  if (typeof stack !== "string" || stack.includes(text)) return;
  // An error may be frozen, or have a stack of its own making: then it stays as it is.
  Reflect.set(error, "stack", `${stack}\n${text}`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
