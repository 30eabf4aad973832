// What does a task cost from its birth to its end? Spawn and join of a child that only returns.
//
//     bun bench/spawn.ts
//     bun bench/spawn.ts --quick
//     bun bench/spawn.ts --rounds 15 --turn-ms 100
//
// The peers. A call of an async function, awaited, starts no task that could be cancelled; it is the floor. Effect
// forks a child that starts when the scheduler comes to it, as ours does; it can also start at once, or on its "sync"
// scheduler, which uses microtasks instead of `setImmediate`. The measure of the ratios is the CPU time of all
// threads of the contender's process.

import { parseArguments } from "./support/arguments.ts";
import { compare, type Compared, oursTo, printCompared } from "./support/compare.ts";
import type { Contender } from "./support/contender-process.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";

const EFFECT = "Effect.forkChild, Fiber.join";
const EFFECTION = "Effection spawn, join";
const CONTENDERS: readonly Contender[] = [
  { name: "spawn, join", library: "bun-reactor", job: "spawn and join" },
  { name: "async function, await", library: "async-await", job: "spawn and join" },
  { name: EFFECT, library: "effect", job: "spawn and join" },
  { name: "Effect, started at once", library: "effect", job: "spawn and join, started at once" },
  { name: "Effect, sync scheduler", library: "effect", job: "spawn and join, sync scheduler" },
  { name: EFFECTION, library: "effection", job: "spawn and join" },
];

const given = parseArguments({ rounds: "number", "turn-ms": "number", quick: "flag" });

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  const compared = await compare("spawn", CONTENDERS, {
    rounds: given.rounds ?? (given.quick === true ? 3 : 11),
    turnMs: given["turn-ms"] ?? (given.quick === true ? 30 : 100),
  });
  console.log();
  printCompared("spawn and join", compared);
  const goals = goalsOf(compared);
  console.log();
  printGoals(goals);
  writeResults("spawn", compared, goals);
}

function goalsOf(compared: readonly Compared[]): Goal[] {
  return [
    atMost(0.5, "spawn and join: CPU against Effect", oursTo(EFFECT, compared)),
    atMost(0.05, "spawn and join: CPU against Effection", oursTo(EFFECTION, compared)),
  ];
}
