// What does a scope cost? One that is empty, one with ten children, and the spawn and join of a child inside one.
//
//     bun bench/scope.ts
//     bun bench/scope.ts --quick
//     bun bench/scope.ts --only "ten children" --rounds 15 --turn-ms 100
//
// A child returns at once, or after it has let the others run once.
//
// The peers. Effect has two things that wait for children: `Effect.all` without a limit, which needs to know all of
// them beforehand, and a `FiberSet` in an `Effect.scoped`. A child forked into a scope of Effect, or spawned in one of
// Effection, is ended at the scope's end and not waited for, so it is joined. `Promise.all` of calls of an async
// function is the floor: nothing can be cancelled.
//
// The measure of the ratios and of the goals is the CPU time of all threads of the contender's process.

import { oursCpuNs, oursTo } from "./support/compare.ts";
import { atMost } from "./support/goals.ts";
import { type Answer, answerTo, ask, type Question } from "./support/questions.ts";
import type { Goal } from "./support/results.ts";

const INSIDE = "spawn and join";
const EFFECT = "Effect.forkChild, Fiber.join";

await ask(
  "scope",
  [
    {
      name: "empty",
      title: "an empty scope",
      contenders: [
        { name: "scope", library: "bun-reactor", job: "empty" },
        { name: "async function, await", library: "async-await", job: "empty" },
        { name: "Effect.scoped", library: "effect", job: "empty" },
        { name: "Effection scoped", library: "effection", job: "empty" },
      ],
    },
    ofTen("ten children", "a scope of ten children that return"),
    ofTen("ten that yield", "a scope of ten children that yield once"),
    {
      name: INSIDE,
      title: "spawn and join inside a scope",
      contenders: [
        { name: "scope.spawn, join", library: "bun-reactor", job: "spawn and join" },
        { name: "async function, await", library: "async-await", job: "spawn and join" },
        { name: EFFECT, library: "effect", job: "spawn and join" },
        { name: `${EFFECT}, sync scheduler`, library: "effect", job: "spawn and join, sync scheduler" },
        { name: "Effect.forkScoped, Fiber.join", library: "effect", job: "spawn and join, scoped" },
        { name: "Effection spawn, join, in scoped", library: "effection", job: "spawn and join" },
      ],
    },
  ],
  goalsOf,
);

function ofTen(job: string, title: string): Question {
  return {
    name: job,
    title,
    contenders: [
      { name: "scope, spawn", library: "bun-reactor", job },
      { name: "Promise.all", library: "async-await", job },
      { name: "Effect.all, unbounded", library: "effect", job: `${job}, all` },
      { name: "Effect FiberSet", library: "effect", job: `${job}, FiberSet` },
      { name: "Effection scoped, spawn, join", library: "effection", job },
    ],
  };
}

function goalsOf(answers: readonly Answer[]): Goal[] {
  const inside = answerTo(INSIDE, answers);
  return [
    atMost(500, "spawn and join inside a scope: CPU", oursCpuNs(inside), "ns"),
    atMost(0.5, "spawn and join inside a scope: CPU against Effect", oursTo(EFFECT, inside)),
  ];
}
