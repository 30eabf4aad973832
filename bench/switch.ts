// What does it cost to suspend a task and resume it? `yieldNow` against the nearest thing of its peers.
//
//     bun bench/switch.ts
//     bun bench/switch.ts --quick
//     bun bench/switch.ts --rounds 15 --turn-ms 100 --only "two tasks"
//
// The peers. `await Promise.resolve()` lets the other microtasks run. Effect's `yieldNow` goes through
// `setImmediate`, so that the host's event loop has a turn each time, which ours gives it every 2 ms; with its "sync"
// scheduler Effect uses microtasks instead and never lets the host's timers in. Effection has no such operation; what
// comes nearest, and costs least, is an action that resolves at once, which takes the task through its scheduler's
// queue; `until(Promise.resolve())` is the one that people write.
//
// Each contender has a process of its own. CPU time is that of all the process's threads, garbage collection
// included, and the measure of the ratios, since it hardly depends on what else the machine does; an awake contender
// uses all of its wall time.

import { oursTo, thisToOurs } from "./support/compare.ts";
import type { Contender } from "./support/contender-process.ts";
import { atLeast, atMost } from "./support/goals.ts";
import { type Answer, answerTo, ask, type Question } from "./support/questions.ts";
import type { Goal } from "./support/results.ts";

const ONE_TASK = "one task";
const AWAIT = "await Promise.resolve()";
const EFFECT = "Effect.yieldNow";

await ask(
  "switch",
  [
    question(ONE_TASK, "a resume, one task", [
      { name: "Effection until(Promise)", library: "effection", job: "one task, until" },
    ]),
    question("two tasks", "a resume, two tasks in turn"),
    question("under three levels", "a resume, three levels down"),
    question("through three levels", "a call, three levels deep"),
  ],
  goalsOf,
);

function question(job: string, title: string, others: readonly Contender[] = []): Question {
  return {
    name: job,
    title,
    contenders: [
      { name: "yieldNow", library: "bun-reactor", job },
      { name: AWAIT, library: "async-await", job },
      { name: EFFECT, library: "effect", job },
      { name: "Effect.yieldNow, sync scheduler", library: "effect", job: `${job}, sync scheduler` },
      { name: "Effection action", library: "effection", job },
      ...others,
    ],
  };
}

function goalsOf(answers: readonly Answer[]): Goal[] {
  const compared = answerTo(ONE_TASK, answers);
  return [
    atMost(1, "yieldNow: CPU against await Promise.resolve()", oursTo(AWAIT, compared)),
    atLeast(10, "Effect.yieldNow: CPU against yieldNow", thisToOurs(EFFECT, compared)),
  ];
}
