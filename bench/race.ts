// What does a race of two cost? With one ready at once, with a loser that sleeps, and between two channels.
//
//     bun bench/race.ts
//     bun bench/race.ts --quick
//     bun bench/race.ts --only "one ready" --rounds 15 --turn-ms 100
//
// A race of this package, of Effect or of Effection cancels its loser and waits for its end. A race of promises only
// forgets it: the timer has to be cleared by hand, and a receive that has lost stays in the queue, so it has to take
// part in the next race.
//
// Between two channels: one task sends to either in turn and waits for an answer, the other races its receives and
// answers. It is a round trip as in bench/channel.ts, with a race in it.
//
// The measure of the ratios is the CPU time of all threads of the contender's process.

import { ask, type Question } from "./support/questions.ts";

await ask("race", [
  question("one ready", "a race of two, one is ready at once"),
  question("sleeping loser", "a race of two, one yields once, one sleeps"),
  question("two receives", "a round trip with a race of two receives"),
]);

function question(job: string, title: string): Question {
  return {
    name: job,
    title,
    contenders: [
      { name: "race", library: "bun-reactor", job },
      { name: "Promise.race", library: "async-await", job },
      { name: "Effect.raceFirst", library: "effect", job },
      { name: "Effect.raceFirst, sync scheduler", library: "effect", job: `${job}, sync scheduler` },
      { name: "Effection race", library: "effection", job },
    ],
  };
}
