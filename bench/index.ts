// All benches one after the other, each in a process of its own, and a closing summary of the goals.
//
//     bun run bench
//     bun run bench --quick
//     bun run bench echo idle

import { existsSync } from "node:fs";
import { endWithThisProcess } from "./support/children.ts";
import { printGoals } from "./support/goals.ts";
import { isMet, readResults, type Goal } from "./support/results.ts";

const BENCHES = [
  "echo",
  "cluster",
  "udp",
  "redis",
  "forward",
  "idle",
  "wait-latency",
  "descriptors",
  "switch",
  "spawn",
  "scope",
  "cancel",
  "timeout",
  "race",
  "channel",
  "mutex",
  "timers",
  "memory",
  "startup",
  "bundle",
] as const;

await main();

async function main(): Promise<void> {
  const { names, options } = parseCommandLine();
  const goals: Goal[] = [];
  const failed: string[] = [];
  for (const bench of names) {
    console.log(`\n━━ ${bench} ${"━".repeat(100 - bench.length)}`);
    if (await runBench(bench, options)) goals.push(...readResults(bench).goals);
    else failed.push(bench);
  }
  printSummary(goals, failed);
  if (failed.length > 0) process.exitCode = 1;
}

function parseCommandLine(): { names: readonly string[]; options: readonly string[] } {
  const given = process.argv.slice(2);
  const options = given.filter((argument) => argument === "--quick");
  const names = given.filter((argument) => argument !== "--quick");
  const unknown = names.filter((name) => !isBench(name));
  if (unknown.length > 0) {
    console.error(
      `There is no bench or option ${unknown.join(", ")}; there are ${BENCHES.join(", ")} and --quick. ` +
        "Each bench has options of its own when it is run alone.",
    );
    process.exit(1);
  }
  return { names: names.length > 0 ? names : BENCHES.filter((bench) => existsSync(fileOf(bench))), options };
}

function isBench(name: string): boolean {
  return BENCHES.some((bench) => bench === name) && existsSync(fileOf(name));
}

/** Whether it succeeded. What it prints goes to where this program prints. */
async function runBench(bench: string, options: readonly string[]): Promise<boolean> {
  const command = [process.execPath, fileOf(bench), ...options];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  endWithThisProcess(child, "SIGTERM");
  return (await child.exited) === 0;
}

function printSummary(goals: readonly Goal[], failed: readonly string[]): void {
  console.log(`\n━━ summary ${"━".repeat(93)}\n`);
  printGoals(goals);
  const met = goals.filter((goal) => isMet(goal) === true).length;
  console.log(`\n  ${met} of ${goals.length} goals met`);
  if (failed.length > 0) console.log(`  failed: ${failed.join(", ")}`);
}

function fileOf(bench: string): string {
  return `${import.meta.dirname}/${bench}.ts`;
}
