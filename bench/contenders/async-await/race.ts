// Races of promises.

import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { PromiseChannel } from "./promise-channel.ts";

export const jobs: Jobs = {
  "one ready": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await Promise.race([ready(), suspend()]);
    }),

  "sleeping loser": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await raceWithTimer();
    }),

  "two receives": (count) =>
    measureCost(() => {
      const channels = [new PromiseChannel<number>(1), new PromiseChannel<number>(1)] as const;
      const back = new PromiseChannel<number>(1);
      return Promise.all([answerOften(channels, back, count), askOften(channels, back, count)]);
    }),
};

type Channels = readonly [PromiseChannel<number>, PromiseChannel<number>];

async function ready(): Promise<number> {
  return 1;
}

async function suspend(): Promise<never> {
  return await new Promise<never>(ignore);
}

async function raceWithTimer(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, FOREVER_MS);
  await Promise.race([Promise.resolve(), promise]);
  clearTimeout(timer);
}

async function askOften(channels: Channels, back: PromiseChannel<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await channels[index % 2]!.send(index);
    await back.receive();
  }
}

async function answerOften([left, right]: Channels, back: PromiseChannel<number>, count: number): Promise<void> {
  let fromLeft: Promise<Received> | null = null;
  let fromRight: Promise<Received> | null = null;
  for (let index = 0; index < count; index++) {
    fromLeft ??= receive(left);
    fromRight ??= receive(right);
    const { channel, item }: Received = await Promise.race([fromLeft, fromRight]);
    // The receive that has lost is still in the queue: it takes part in the next race.
    if (channel === left) fromLeft = null;
    else fromRight = null;
    await back.send(item);
  }
}

interface Received {
  readonly channel: PromiseChannel<number>;
  readonly item: number;
}

async function receive(channel: PromiseChannel<number>): Promise<Received> {
  return { channel, item: await channel.receive() };
}

function ignore(): void {
  // It never settles.
}
