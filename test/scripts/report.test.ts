import { describe, expect, test } from "bun:test";
import type { Outcome } from "../../scripts/platforms/outcome.ts";
import { reportOf, type Result, totalOf } from "../../scripts/platforms/report.ts";

function resultOf(outcome: Outcome, more: Partial<Result> = {}): Result {
  return {
    platform: "linux-arm64",
    how: "under qemu-user 10",
    outcome,
    durationMs: 125_000,
    isCountedElsewhere: false,
    ...more,
  };
}

const OUTCOME: Outcome = {
  passed: 10,
  failures: [{ name: "a.test.ts: fails", details: "one\ntwo" }],
  skips: [
    { name: "a.test.ts: alone [skipped: rare]", reason: "rare" },
    { name: "b.test.ts: a group [skipped: frequent] > first", reason: "frequent" },
    { name: "b.test.ts: a group [skipped: frequent] > second", reason: "frequent" },
  ],
};

describe("the report of a platform", () => {
  test("is a row, then the skips by their reasons, the most frequent first, then the failures", () => {
    expect(reportOf(resultOf(OUTCOME)).split("\n")).toEqual([
      "linux-arm64     10 passed, 1 failed, 3 skipped   2 min 5 s, under qemu-user 10",
      "    skipped, 2: frequent",
      "        b.test.ts: a group > first",
      "        b.test.ts: a group > second",
      "    skipped, 1: rare",
      "        a.test.ts: alone",
      "    failed: a.test.ts: fails",
      "        | one",
      "        | two",
    ]);
  });

  test("is the row alone if all went well", () => {
    const result = resultOf({ passed: 1, failures: [], skips: [] }, { durationMs: 59_400 });
    expect(reportOf(result)).toBe("linux-arm64     1 passed, 0 failed, 0 skipped   59 s, under qemu-user 10");
  });
});

test("the total leaves out what is counted elsewhere", () => {
  const results = [resultOf(OUTCOME), resultOf(OUTCOME), resultOf(OUTCOME, { isCountedElsewhere: true })];
  expect(totalOf(results)).toBe("20 passed, 2 failed, 6 skipped");
});
