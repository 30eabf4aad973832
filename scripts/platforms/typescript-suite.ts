/** The TypeScript suite in pieces: some test files each, in a process of their own, so that a crash takes no more along. */

import { globSync } from "node:fs";
import { join } from "node:path";
import { outcomeOfBun } from "./outcome.ts";
import type { Job, Workplace } from "./platform.ts";
import { runToEnd } from "./run.ts";

export interface TypescriptSuite {
  readonly workplace: Workplace;
  /** The platform, for the names of logs. */
  readonly name: string;
  /** What runs Bun. */
  readonly bun: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How much longer than on the host things may take. */
  readonly patience: number;
  /** How much of the repeated work of fuzzers and models is done, from 1 for all of it down to 0. */
  readonly effort: number;
}

export function typescriptSuite(suite: TypescriptSuite): Job[] {
  const { root, logs } = suite.workplace;
  const { name, bun, environment, patience, effort } = suite;
  const files = globSync("test/**/*.test.ts", { cwd: root }).sort();
  const pieces = Array.from({ length: Math.ceil(files.length / FILES_IN_A_PIECE) }, (_, index) =>
    files.slice(index * FILES_IN_A_PIECE, (index + 1) * FILES_IN_A_PIECE),
  );
  return pieces.map((piece, index) => async () => {
    const paths = piece.map((file) => `./${file}`);
    const run = await runToEnd([...bun, "test", "--timeout", String(TEST_LIMIT_MS * patience), ...paths], {
      folder: root,
      limitMs: PIECE_LIMIT_MS * patience,
      log: logs === null ? null : join(logs, `${name}-${index + 1}.log`),
      environment: {
        NO_COLOR: "1",
        FORCE_COLOR: undefined,
        ...environment,
        BUN_REACTOR_TEST_PATIENCE: String(patience),
        BUN_REACTOR_TEST_EFFORT: String(effort),
      },
    });
    return outcomeOfBun(run);
  });
}

const FILES_IN_A_PIECE = 8;
/** As package.json's "test" has it. */
const TEST_LIMIT_MS = 30_000;
/** Pieces take seconds; the longest half a minute. */
const PIECE_LIMIT_MS = 180_000;
