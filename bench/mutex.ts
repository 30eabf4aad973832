// What does a lock cost? Locked and released by one task, and handed over between two that both want it all the time.
//
//     bun bench/mutex.ts
//     bun bench/mutex.ts --quick
//     bun bench/mutex.ts --only "hand-over" --rounds 15 --turn-ms 100
//
// The hand-over: each task holds the lock until the other waits for it, once, and from then on releases and asks
// again at once. With a lock that is fair, every release hands it over to the other.
//
// The peers. Effect has no mutex but a `Semaphore` of one permit, which is fair as well. Effection has neither. A
// mutex of promises, as small as it can be, is the floor: whoever waits for it cannot be cancelled.
//
// The measure of the ratios is the CPU time of all threads of the contender's process.

import { ask } from "./support/questions.ts";

await ask("mutex", [
  {
    name: "uncontended",
    title: "lock and release, one task",
    contenders: [
      { name: "Mutex, release()", library: "bun-reactor", job: "uncontended" },
      { name: "Mutex, using", library: "bun-reactor", job: "uncontended, using" },
      { name: "a mutex of promises", library: "async-await", job: "uncontended" },
      { name: "Effect Semaphore, withPermit", library: "effect", job: "uncontended" },
    ],
  },
  {
    name: "hand-over",
    title: "a hand-over, two tasks",
    contenders: [
      { name: "Mutex, release()", library: "bun-reactor", job: "hand-over" },
      { name: "a mutex of promises", library: "async-await", job: "hand-over" },
      { name: "Effect Semaphore, withPermit", library: "effect", job: "hand-over" },
      { name: "Effect Semaphore, sync scheduler", library: "effect", job: "hand-over, sync scheduler" },
    ],
  },
]);
