/** An error as text: with its stack, and with all errors that belong to it. */

import { expect, test } from "bun:test";
import { CancelledError } from "../../src/core/errors.ts";
import { failureText } from "../../src/host/failure-text.ts";

/** An error whose stack is short. */
function errorWith(message: string, options?: ErrorOptions): Error {
  const error = new Error(message, options);
  error.stack = `Error: ${message}\n    at somewhere`;
  return error;
}

test("an error is shown by its stack, with what was added to it", () => {
  const error = errorWith("broken");
  error.stack += "\n    in task reader (#2)";
  expect(failureText(error)).toBe("Error: broken\n    at somewhere\n    in task reader (#2)");
});

test("causes follow, each further in", () => {
  const error = errorWith("outer", { cause: errorWith("inner", { cause: "a word" }) });
  expect(failureText(error).split("\n")).toEqual([
    "Error: outer",
    "    at somewhere",
    "caused by:",
    "  Error: inner",
    "      at somewhere",
    "  caused by:",
    '    "a word" was thrown, which is no Error',
  ]);
});

test("all errors of an AggregateError are shown", () => {
  const error = new AggregateError([errorWith("one"), errorWith("two")], "2 errors");
  error.stack = "AggregateError: 2 errors";
  expect(failureText(error).split("\n")).toEqual([
    "AggregateError: 2 errors",
    "error 1:",
    "  Error: one",
    "      at somewhere",
    "error 2:",
    "  Error: two",
    "      at somewhere",
  ]);
});

test("of a SuppressedError both are shown, the first error first", () => {
  const error = new SuppressedError(errorWith("of the clean-up"), errorWith("the first"), "both");
  error.stack = "SuppressedError: both";
  expect(failureText(error).split("\n")).toEqual([
    "SuppressedError: both",
    "the first error:",
    "  Error: the first",
    "      at somewhere",
    "and then:",
    "  Error: of the clean-up",
    "      at somewhere",
  ]);
});

test("an error that belongs to itself is shown once", () => {
  const error = errorWith("circular");
  error.cause = error;
  expect(failureText(error).split("\n").at(-1)).toBe("  Error: circular (shown above)");
});

test("an error without a stack is shown by its message", () => {
  expect(failureText(new DOMException("The operation was aborted.", "AbortError"))).toBe(
    "AbortError: The operation was aborted.",
  );
});

test("what is no error is shown in words", () => {
  expect(failureText(42)).toBe("42 was thrown, which is no Error");
  expect(failureText(undefined)).toBe("undefined was thrown, which is no Error");
});

test("the reason of a cancel is shown", () => {
  expect(failureText(new CancelledError("task worker (#1)", errorWith("why")))).toContain("caused by:\n  Error: why");
});
