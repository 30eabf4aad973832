/** What is fetched once, and kept beside the Bun that scripts/with-bun.mjs installs. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MissingError } from "./missing.ts";
import { runToEnd } from "./run.ts";

/**
 * The folder of that name, which `fill` makes if it is not there: in another place, so that neither an interrupt nor a second
 * process that does the same can leave half of it.
 */
export async function fetchedOnce(
  root: string,
  name: string,
  fill: (unfinished: string, place: string) => Promise<void>,
): Promise<string> {
  const place = join(root, ".bun", `platforms-${pinnedVersion(root)}`, name);
  if (existsSync(place)) return place;
  const unfinished = `${place}.${process.pid}.tmp`;
  mkdirSync(unfinished, { recursive: true });
  try {
    await fill(unfinished, place);
    putInPlace(unfinished, place);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return place;
}

/**
 * Runs one step of it.
 *
 * @returns what it printed
 * @throws MissingError if it fails
 */
export async function step(command: readonly string[], folder: string, failure: string): Promise<string> {
  const run = await runToEnd(command, { folder, limitMs: STEP_LIMIT_MS });
  if (run.exitCode === 0) return run.output;
  const words = run.isOverLimit ? "no end after five minutes" : run.output.trim().split("\n").slice(-2).join(" ");
  throw new MissingError(`${failure}: ${words}`);
}

/** Bun's version, which package.json alone names. */
export function pinnedVersion(root: string): string {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { packageManager: string };
  return packageManager.replace("bun@", "");
}

function putInPlace(finished: string, place: string): void {
  try {
    renameSync(finished, place);
  } catch (error) {
    // Another process was first, with the same.
    if (!existsSync(place)) throw error;
  }
}

const STEP_LIMIT_MS = 300_000;
