// What does it cost to pass an item from task to task? A round trip between two tasks over two channels, and one way
// over one.
//
//     bun bench/channel.ts
//     bun bench/channel.ts --quick
//     bun bench/channel.ts --only "capacity 0" --rounds 15 --turn-ms 100
//
// A round trip: one task sends and waits for the answer, the other receives and answers. There is never more than one
// item on the way, so the capacity decides only whether the sender has to wait for the receiver. One way, the sender
// may be 100 items ahead.
//
// The peers. Effect's `Queue.bounded(0)` is a rendezvous, as is our capacity 0. Effection has no bounded channel:
// what is sent to one is kept for each subscriber without limit, and dropped if there is none; what is added to a
// queue is kept without limit. So its figures are the same thing at every capacity. A bounded queue of promises, as
// small as it can be, and from which nobody can be cancelled, is the floor.
//
// The measure of the ratios and of the goals is the CPU time of all threads of the contender's process.

import { oursCpuNs, thisToOurs } from "./support/compare.ts";
import { atLeast, atMost } from "./support/goals.ts";
import { type Answer, answerTo, ask, type Question } from "./support/questions.ts";
import type { Goal } from "./support/results.ts";

const CAPACITIES = [0, 1, 100];
const EFFECT = "Effect Queue";
const EFFECTION = "Effection createChannel";
/** The cheaper of Effection's two: the goals count against it. */
const EFFECTION_QUEUE = "Effection createQueue";

await ask("channel", [...CAPACITIES.map(roundTrip), oneWay()], goalsOf);

function roundTrip(capacity: number): Question {
  const job = nameOf(capacity);
  return {
    name: job,
    title: `a round trip, ${job}`,
    contenders: [
      { name: "Channel", library: "bun-reactor", job },
      { name: "a queue of promises", library: "async-await", job },
      { name: EFFECT, library: "effect", job },
      { name: `${EFFECT}, sync scheduler`, library: "effect", job: `${job}, sync scheduler` },
      { name: EFFECTION, library: "effection", job: "channel" },
      { name: EFFECTION_QUEUE, library: "effection", job: "queue" },
    ],
  };
}

function oneWay(): Question {
  const job = "one way";
  return {
    name: job,
    title: "an item one way, capacity 100",
    contenders: [
      { name: "Channel", library: "bun-reactor", job },
      { name: "a queue of promises", library: "async-await", job },
      { name: EFFECT, library: "effect", job },
      { name: `${EFFECT}, sync scheduler`, library: "effect", job: `${job}, sync scheduler` },
      { name: EFFECTION, library: "effection", job },
    ],
  };
}

function goalsOf(answers: readonly Answer[]): Goal[] {
  return CAPACITIES.flatMap((capacity) => {
    const compared = answerTo(nameOf(capacity), answers);
    const what = `a channel's round trip, ${nameOf(capacity)}`;
    return [
      atMost(500, `${what}: CPU`, oursCpuNs(compared), "ns"),
      atLeast(8, `${what}: CPU of Effect's against ours`, thisToOurs(EFFECT, compared)),
      atLeast(2, `${what}: CPU of Effection's queue against ours`, thisToOurs(EFFECTION_QUEUE, compared)),
    ];
  });
}

function nameOf(capacity: number): string {
  return `capacity ${capacity}`;
}
