/** The book's example, as a program. */

import { expect, test } from "bun:test";
import { runToEnd } from "./program.ts";

test("book tells how five tasks wait for their replies, and ends", async () => {
  const { exitCode, stdout, stderr } = await runToEnd("book.ts");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).not.toContain("\x1b");
  const events = stdout.trimEnd().split("\n");
  expect(events.at(0)).toEndWith("main: spawned the tasks; the executor blocks until all have ended");
  expect(events.at(-1)).toEndWith("main: all tasks have ended");
  for (const [number, delayMs] of [
    [1, 1000],
    [2, 250],
    [3, 750],
    [4, 500],
    [5, 0],
  ] as const) {
    const own = events.filter((event) => event.includes(`task ${number}: `)).map((event) => event.replace(/^.*: /, ""));
    expect(own).toEqual([
      `registered its interest in a reply in ${delayMs} ms; the executor suspends it`,
      "the reactor saw the reply; the executor has resumed it",
      `read "a reply that took ${delayMs} ms"`,
    ]);
  }
});
