import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Gaps, gap, PLATFORM } from "./platform.ts";
import { runScript } from "./child.ts";
import { temporaryFolder } from "./temporary.ts";

describe("a test with a reason to skip", () => {
  test("shows it in its own line, and so does each of a group and of a table", async () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.name, "gaps.test.ts"), TESTS_WITH_GAPS);
    const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
    const stdio = { stdout: "ignore", stderr: "pipe" } as const;
    const child = Bun.spawn([process.execPath, "test", "gaps"], { cwd: folder.name, env, ...stdio });
    const lines = (await child.stderr.text()).replaceAll(/ \[\d+\.\d+ms\]/g, "").split("\n");
    expect(await child.exited).toBe(0);
    expect(lines.filter((line) => /^\((pass|skip|fail)\)/.test(line))).toEqual([
      "(skip) alone [skipped: no kernel]",
      "(skip) row 1 [skipped: no kernel]",
      "(skip) row 2 [skipped: no kernel]",
      "(skip) a group [skipped: no tty] > first",
      "(skip) a group [skipped: no tty] > second",
      "(pass) without a reason",
    ]);
  });
});

describe("gaps", () => {
  test("apply on their platform or operating system, and nowhere else", () => {
    const here: Gaps = { [PLATFORM]: "not here" };
    expect(gap(here)).toBe("not here");
    expect(gap({ [process.platform]: "not on this system" })).toBe("not on this system");
    expect(gap({ aix: "not on AIX" })).toBeNull();
  });

  test("a platform that nobody knows is refused", async () => {
    const child = await runScript('await import("./test/support/platform.ts")', {
      environment: { BUN_REACTOR_TEST_PLATFORM: "amiga" },
    });
    expect(child.exitCode).toBe(1);
    expect(child.stderr).toContain(
      "$BUN_REACTOR_TEST_PLATFORM is amiga, but must be one of native, musl, qemu-user, wine",
    );
  });
});

const TESTS_WITH_GAPS = `
  import { expect, test } from "bun:test";
  import { describeUnless, testUnless } from ${JSON.stringify(join(import.meta.dir, "platform.ts"))};
  testUnless("no kernel")("alone", () => expect.unreachable());
  testUnless("no kernel").each([1, 2])("row %d", () => expect.unreachable());
  describeUnless("no tty")("a group", () => {
    test("first", () => expect.unreachable());
    test("second", () => expect.unreachable());
  });
  testUnless(null)("without a reason", () => {});
`;
