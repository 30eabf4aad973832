/** The tour, as a program whose output goes into a pipe. */

import { expect } from "bun:test";
import { Program, runToEnd } from "./program.ts";
import { patient } from "../support/patience.ts";
import { testUnless } from "../support/platform.ts";
import { NEEDS_SIGNALS } from "../support/needs.ts";

/** The tour alone takes longer than the 5 s that Bun grants a test by default; only one that hangs meets this. */
const LIMIT_MS = patient(60_000);

testUnless(NEEDS_SIGNALS)(
  "tour shows what it is at and ends with the table, in plain lines",
  async () => {
    const { exitCode, stdout, stderr } = await runToEnd("tour.ts");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).not.toContain("\x1b");
    expect(stdout).not.toContain("\r");
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => line.endsWith(" …"))).toHaveLength(5);
    const begin = lines.findIndex((line) => /^what +bun-reactor +beside it +ratio$/.test(line));
    const [rule, ...table] = lines.slice(begin + 1);
    expect(rule).toMatch(/^─[ ─]+─$/);
    expect(table).toEqual([
      expect.stringMatching(/^1,000 connections, one second +[\d,]+ echoes$/),
      expect.stringMatching(/^silent peer given up after 50 ms +\S+ m?s$/),
      expect.stringMatching(/^sleep of 0.25 ms, median +\S+ ms +\S+ ms setTimeout$/),
      expect.stringMatching(/^tree of 10,000 tasks cancelled +10,000 in \S+ m?s$/),
      expect.stringMatching(/^descriptor 3 of a child process +1,000 lines$/),
      expect.stringMatching(/^echo, 64 connections × 64 B +[\d,]+ messages\/s +[\d,]+ Bun.listen +[\d.]+ ×$/),
      expect.stringMatching(/^the server's CPU time for that +[\d.]+ µs\/message +[\d.]+ Bun.listen +[\d.]+ ×$/),
      expect.stringContaining("bun run bench"),
    ]);
  },
  LIMIT_MS,
);

testUnless(NEEDS_SIGNALS)("tour ends early at SIGINT, and takes its servers along", async () => {
  await using tour = Program.start("tour.ts");
  expect(await tour.line()).toBe("1,000 connections at once …");
  tour.signal("SIGINT");
  // The servers have the standard error open as well: this waits for their end too.
  expect(await tour.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
});
