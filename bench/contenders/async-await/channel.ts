// A queue of promises.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { PromiseChannel } from "./promise-channel.ts";

export const jobs: Jobs = {
  "capacity 0": (count) => measureCost(() => goBackAndForth(0, count)),

  "capacity 1": (count) => measureCost(() => goBackAndForth(1, count)),

  "capacity 100": (count) => measureCost(() => goBackAndForth(100, count)),

  "one way": (count) =>
    measureCost(() => {
      const channel = new PromiseChannel<number>(100);
      return Promise.all([receiveOften(channel, count), sendOften(channel, count)]);
    }),
};

async function goBackAndForth(capacity: number, count: number): Promise<void> {
  const there = new PromiseChannel<number>(capacity);
  const back = new PromiseChannel<number>(capacity);
  await Promise.all([answerOften(there, back, count), askOften(there, back, count)]);
}

async function askOften(there: PromiseChannel<number>, back: PromiseChannel<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await there.send(index);
    await back.receive();
  }
}

async function answerOften(there: PromiseChannel<number>, back: PromiseChannel<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await back.send(await there.receive());
}

async function sendOften(channel: PromiseChannel<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await channel.send(index);
}

async function receiveOften(channel: PromiseChannel<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await channel.receive();
}
