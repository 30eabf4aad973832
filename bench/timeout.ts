// What does a timeout cost that does not elapse? Around an operation that is ready, and around one that suspends once.
//
//     bun bench/timeout.ts
//     bun bench/timeout.ts --quick
//     bun bench/timeout.ts --only ready --rounds 15 --turn-ms 100
//
// The peers. `Effect.timeout`. Effection has none; a race with a sleep that fails does the same. Async functions race
// with a `setTimeout` that is cleared afterwards, which ends nothing, or take an `AbortSignal.timeout` and look at it
// where they can; its timer cannot be cleared.
//
// The measure of the ratios and of the goals is the CPU time of all threads of the contender's process.

import { oursCpuNs } from "./support/compare.ts";
import { atMost } from "./support/goals.ts";
import { type Answer, answerTo, ask, type Question } from "./support/questions.ts";
import type { Goal } from "./support/results.ts";

const READY = "ready";

await ask(
  "timeout",
  [
    question(READY, "a timeout, the operation is ready"),
    question("suspends once", "a timeout, the operation suspends once"),
  ],
  goalsOf,
);

function question(job: string, title: string): Question {
  return {
    name: job,
    title,
    contenders: [
      { name: "timeout", library: "bun-reactor", job },
      { name: "Promise.race, setTimeout", library: "async-await", job },
      { name: "AbortSignal.timeout", library: "async-await", job: `${job}, AbortSignal` },
      { name: "Effect.timeout", library: "effect", job },
      { name: "Effect.timeout, sync scheduler", library: "effect", job: `${job}, sync scheduler` },
      { name: "Effection race, sleep", library: "effection", job },
    ],
  };
}

function goalsOf(answers: readonly Answer[]): Goal[] {
  return [atMost(300, "a timeout around an operation that is ready: CPU", oursCpuNs(answerTo(READY, answers)), "ns")];
}
