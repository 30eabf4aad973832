import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Executor } from "../../src/core/executor.ts";
import { DeadlineRequest, type Suspension } from "../../src/core/request.ts";
import { sleep, sleepUntil } from "../../src/core/sleep.ts";
import { spawn } from "../../src/core/task-operations.ts";
import { Timers } from "../../src/core/timers.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { settled } from "../support/settled.ts";
import { effort } from "../support/effort.ts";

/** A request that calls back instead of resuming a task. */
function deadlineAt(
  deadlineNs: number,
  onExpired: () => void,
  onFailed: (error: unknown) => void = neverCalled,
): DeadlineRequest {
  const request = DeadlineRequest.at(deadlineNs);
  const suspension: Pick<Suspension, "resume" | "fail"> = { resume: onExpired, fail: onFailed };
  request.suspension = suspension as Suspension;
  return request;
}

function neverCalled(error: unknown): never {
  throw new Error("this deadline must not fail", { cause: error });
}

type Step =
  | { readonly kind: "insert"; readonly deadlineNs: number }
  | { readonly kind: "remove"; readonly pick: number }
  | { readonly kind: "expire"; readonly advanceNs: number };

/** Few different deadlines, so that many are equal, and some that are extreme. */
const deadlines = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 200 }) },
  { weight: 1, arbitrary: fc.constantFrom(0.25, 1e15, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Infinity) },
);

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("insert" as const), deadlineNs: deadlines }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), pick: fc.nat(10_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("expire" as const), advanceNs: fc.integer({ min: 0, max: 15 }) }),
  },
);

describe("Timers", () => {
  test("behave like a sorted list under any sequence of inserts, removals and expiries", () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 400, size: "max" }), (sequence) => {
        const timers = new Timers();
        const expired: number[] = [];
        let model: { id: number; request: DeadlineRequest }[] = [];
        let nowNs = 0;
        let nextId = 0;
        for (const step of sequence) {
          if (step.kind === "insert") {
            const id = nextId++;
            const request = deadlineAt(step.deadlineNs, () => expired.push(id));
            timers.insert(request);
            const isLater = ({ request: other }: { request: DeadlineRequest }): boolean =>
              other.deadlineNs > step.deadlineNs;
            const place = model.findIndex(isLater);
            model.splice(place === -1 ? model.length : place, 0, { id, request });
          } else if (step.kind === "remove") {
            if (model.length === 0) continue;
            const [removed] = model.splice(step.pick % model.length, 1);
            timers.remove(removed!.request);
          } else {
            nowNs += step.advanceNs;
            const due = model.filter(({ request }) => request.deadlineNs <= nowNs);
            model = model.slice(due.length);
            timers.expire(nowNs);
            expect(expired.splice(0)).toEqual(due.map(({ id }) => id));
          }
          expect(timers.size).toBe(model.length);
          expect(timers.nextDeadlineNs).toBe(model[0]?.request.deadlineNs ?? Infinity);
        }
        const finite = model.filter(({ request }) => request.deadlineNs !== Infinity);
        timers.expire(Number.MAX_VALUE);
        expect(expired).toEqual(finite.map(({ id }) => id));
        expect(timers.size).toBe(model.length - finite.length);
      }),
      { numRuns: effort(200) },
    );
  });

  test("expire equal deadlines in the order in which they were armed", () => {
    const timers = new Timers();
    const order: number[] = [];
    for (let id = 0; id < 1000; id++) timers.insert(deadlineAt(7, () => order.push(id)));
    timers.expire(7);
    expect(order).toEqual(Array.from({ length: 1000 }, (_, id) => id));
  });

  test("keep that order when some of the equal ones are removed in between", () => {
    const timers = new Timers();
    const order: number[] = [];
    const requests = Array.from({ length: 100 }, (_, id) => deadlineAt(7, () => order.push(id)));
    for (const request of requests) timers.insert(request);
    for (let id = 0; id < 100; id += 3) timers.remove(requests[id]!);
    timers.expire(7);
    expect(order).toEqual(Array.from({ length: 100 }, (_, id) => id).filter((id) => id % 3 !== 0));
  });

  test("do not expire before the deadline, and do at it", () => {
    const timers = new Timers();
    let count = 0;
    timers.insert(deadlineAt(1000.5, () => count++));
    timers.expire(1000);
    expect(count).toBe(0);
    timers.expire(1000.5);
    expect(count).toBe(1);
  });

  test("leave what is armed while they expire to the next time, even if it is due at once", () => {
    const timers = new Timers();
    const order: string[] = [];
    const rearm = (): void => {
      order.push("at once");
      timers.insert(deadlineAt(10, rearm));
    };
    timers.insert(deadlineAt(0, rearm));
    timers.insert(deadlineAt(5, () => order.push("five")));
    timers.insert(deadlineAt(10, () => order.push("ten")));
    timers.expire(10);
    expect(order).toEqual(["at once", "five", "ten"]);
    timers.expire(10);
    expect(order).toEqual(["at once", "five", "ten", "at once"]);
  });

  test("never come to an infinite deadline while time is finite", () => {
    const timers = new Timers();
    timers.insert(deadlineAt(Infinity, neverCalled as () => never));
    timers.expire(Number.MAX_VALUE);
    expect(timers.size).toBe(1);
  });

  test("tell every one of them when the driver has failed, in any order of deadlines", () => {
    const timers = new Timers();
    const failure = new Error("no more time");
    const seen: unknown[] = [];
    for (const deadlineNs of [30, 10, Infinity, 20]) {
      timers.insert(
        deadlineAt(
          deadlineNs,
          () => seen.push("expired"),
          (error) => seen.push(error),
        ),
      );
    }
    timers.failAll(failure);
    expect(seen).toEqual([failure, failure, failure, failure]);
    expect(timers.size).toBe(0);
    expect(timers.nextDeadlineNs).toBe(Infinity);
  });

  test("let the failure of one take back another, as a race between two deadlines does", () => {
    const timers = new Timers();
    let count = 0;
    const late = deadlineAt(20, neverCalled as () => never);
    const early = deadlineAt(10, neverCalled as () => never, () => {
      count++;
      timers.remove(late);
    });
    timers.insert(early);
    timers.insert(late);
    timers.failAll(new Error("no more time"));
    expect(count).toBe(1);
    expect(timers.size).toBe(0);
  });
});

describe("sleeping tasks", () => {
  test("wake in the order of 100,000 random deadlines", async () => {
    const driver = new VirtualDriver();
    const seed = (Math.random() * 2 ** 32) >>> 0;
    const random = randomFrom(seed);
    const wakes: number[] = [];
    await new Executor(driver).run(function* main() {
      for (let id = 0; id < 100_000; id++) {
        // A deadline in the first quarter of the range, or anywhere: so that there are dense and sparse places, and
        // equal ones.
        const deadlineMs = Math.floor(random() * (id % 2 === 0 ? 250 : 1000));
        yield* spawn(function* sleeper() {
          yield* sleepUntil(deadlineMs);
          if (driver.now() < deadlineMs * 1e6) throw new Error(`woken early, with seed ${seed}`);
          wakes.push(deadlineMs);
        });
      }
    });
    expect(wakes).toHaveLength(100_000);
    const firstDisorder = wakes.findIndex((deadlineMs, index) => index > 0 && deadlineMs < wakes[index - 1]!);
    expect({ seed, firstDisorder }).toEqual({ seed, firstDisorder: -1 });
  });

  test("that sleep for no time again and again starve neither tasks nor later deadlines nor the host", async () => {
    const driver = new VirtualDriver();
    const progress = { spinner: 0, neighbour: 0, hostTurns: 0 };
    let isOver = false;
    const countHostTurns = (): void => {
      progress.hostTurns++;
      if (!isOver) setImmediate(countHostTurns);
    };
    setImmediate(countHostTurns);
    const running = new Executor(driver).run(function* main() {
      yield* spawn(function* spinner() {
        while (progress.hostTurns < 3 || progress.neighbour < 50) {
          yield* sleep(0);
          progress.spinner++;
        }
      });
      for (; progress.neighbour < 50; progress.neighbour++) yield* sleep(0);
    });
    await settled(driver, running);
    isOver = true;
    expect(progress.neighbour).toBe(50);
    expect(progress.spinner).toBeGreaterThan(0);
  });

  test("may sleep for longer than any clock will run, and be cancelled out of it", async () => {
    const driver = new VirtualDriver();
    const finished = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const sleepers = [];
        for (const durationMs of [1e15, Number.MAX_VALUE, Infinity]) {
          sleepers.push(yield* spawn(() => sleep(durationMs), { name: `for ${durationMs} ms` }));
        }
        yield* sleep(1);
        for (const sleeper of sleepers) sleeper.cancel();
        return sleepers;
      }),
    );
    expect(finished.map(({ state }) => state)).toEqual(["cancelled", "cancelled", "cancelled"]);
    expect(driver.now()).toBe(1e6);
  });
});

/** A small generator of numbers in [0, 1) that a seed repeats (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
