// What does it cost to suspend a task and resume it? `yieldNow` against the nearest thing of its peers.
//
//     bun bench/switch.ts
//     bun bench/switch.ts --quick
//     bun bench/switch.ts --rounds 15 --turn-ms 100 --only "two tasks"
//
// The peers. `await Promise.resolve()` lets the other microtasks run. Effect's `yieldNow` goes through `setImmediate`, so that the host's
// event loop has a turn each time, which ours gives it every 2 ms; with its "sync" scheduler Effect uses microtasks
// instead and never lets the host's timers in. Effection has no such operation; what comes nearest, and costs least, is an
// action that resolves at once, which takes the task through its scheduler's queue; `until(Promise.resolve())` is the one that people write.
//
// Each contender has a process of its own. CPU time is that of all the process's threads, garbage collection included, and the measure of
// the ratios, since it hardly depends on what else the machine does; an awake contender uses all of its wall time.

import { parseArguments, checkWords } from "./support/arguments.ts";
import { compare, type Compared, oursTo, printCompared } from "./support/compare.ts";
import type { Contender } from "./support/contender-process.ts";
import { printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";

interface Question {
  readonly job: string;
  readonly title: string;
}

interface Answer extends Question {
  readonly compared: readonly Compared[];
}

const QUESTIONS: readonly Question[] = [
  { job: "one task", title: "a resume, one task" },
  { job: "two tasks", title: "a resume, two tasks in turn" },
  { job: "under three levels", title: "a resume, three levels down" },
  { job: "through three levels", title: "a call, three levels deep" },
];
const AWAIT = "await Promise.resolve()";
const EFFECT = "Effect.yieldNow";

const given = parseArguments({ rounds: "number", "turn-ms": "number", only: "words", quick: "flag" });

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  const answers: Answer[] = [];
  for (const question of chosenQuestions()) {
    const compared = await compare(contendersOf(question), {
      rounds: given.rounds ?? (given.quick === true ? 3 : 11),
      turnMs: given["turn-ms"] ?? (given.quick === true ? 20 : 60),
    });
    console.log();
    printCompared(question.title, compared);
    answers.push({ ...question, compared });
  }
  const goals = goalsOf(answers);
  console.log();
  printGoals(goals);
  writeResults("switch", answers, goals);
}

function chosenQuestions(): readonly Question[] {
  if (given.only === undefined) return QUESTIONS;
  checkWords(
    "only",
    given.only,
    QUESTIONS.map(({ job }) => job),
  );
  return QUESTIONS.filter(({ job }) => given.only?.includes(job));
}

function contendersOf({ job }: Question): Contender[] {
  return [
    { name: "yieldNow", library: "bun-reactor", job },
    { name: AWAIT, library: "async-await", job },
    { name: EFFECT, library: "effect", job },
    { name: "Effect.yieldNow, sync scheduler", library: "effect", job: `${job}, sync scheduler` },
    { name: "Effection action", library: "effection", job },
    ...(job === "one task"
      ? [{ name: "Effection until(Promise)", library: "effection", job: "one task, until" } as const]
      : []),
  ];
}

function goalsOf(answers: readonly Answer[]): Goal[] {
  const compared = answers.find(({ job }) => job === "one task")?.compared;
  const oursToEffect = oursTo(EFFECT, compared);
  return [
    {
      what: "yieldNow: CPU against await Promise.resolve()",
      limit: 1,
      relation: "at most",
      value: oursTo(AWAIT, compared),
      unit: "×",
    },
    {
      what: "Effect.yieldNow: CPU against yieldNow",
      limit: 10,
      relation: "at least",
      value: oursToEffect === undefined ? undefined : 1 / oursToEffect,
      unit: "×",
    },
  ];
}
