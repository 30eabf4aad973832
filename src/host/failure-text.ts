/**
 * An error as text, with its stack and with all errors that belong to it. `console.error` of Bun 1.4.5 shows neither
 * what was added to a stack, as the path of the task is, nor what a `SuppressedError` holds.
 */

import { describeValue } from "../core/errors.ts";

/** The error's stack, then, each further in, its causes and the errors that it combines; each error once. */
export function failureText(error: unknown): string {
  return textOf(error, "", new Set());
}

function textOf(error: unknown, indentation: string, shown: Set<unknown>): string {
  if (!(error instanceof Error)) return indented(`${describeValue(error)} was thrown, which is no Error`, indentation);
  if (shown.has(error)) return indented(`${error} (shown above)`, indentation);
  shown.add(error);
  const parts = partsOf(error).map(
    ([label, part]) => `${indented(label, indentation)}\n${textOf(part, `${indentation}  `, shown)}`,
  );
  return [indented(error.stack ?? String(error), indentation), ...parts].join("\n");
}

function partsOf(error: Error): [label: string, part: unknown][] {
  const parts: [string, unknown][] = [];
  if (error instanceof AggregateError) {
    for (const [index, part] of error.errors.entries()) parts.push([`error ${index + 1}:`, part]);
  }
  if (error instanceof SuppressedError) {
    parts.push(["the first error:", error.suppressed], ["and then:", error.error]);
  }
  if (error.cause !== undefined) parts.push(["caused by:", error.cause]);
  return parts;
}

function indented(text: string, indentation: string): string {
  return text.replaceAll(/^/gm, indentation);
}
