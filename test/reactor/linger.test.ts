import { describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { run, sleep } from "../../src/index.ts";
import { DEFAULT_LINGER_US, Linger } from "../../src/reactor/linger.ts";
import { Holder } from "../../src/reactor/ready-channel.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { internalsOf, TestReactor } from "../support/reactors.ts";

/** Plays a series of gaps: the executor becomes idle, and an event comes after so many nanoseconds. */
function play(linger: Linger, gapsNs: readonly number[]): void {
  let nowNs = 1_000_000;
  for (const gapNs of gapsNs) {
    linger.becameIdle(nowNs);
    nowNs += gapNs;
    linger.sawEvent(nowNs);
    nowNs += 10_000;
  }
}

function repeat(gapNs: number, count: number): number[] {
  return Array.from({ length: count }, () => gapNs);
}

describe("the linger", () => {
  test("is none at first: nothing is known of the traffic", () => {
    const linger = new Linger();
    expect(linger.durationNs).toBe(0);
    expect(linger.isTrafficDense).toBe(false);
  });

  test("is its whole bound while events come close together", () => {
    const linger = new Linger();
    play(linger, repeat(15_000, 20));
    expect(linger.durationNs).toBe(DEFAULT_LINGER_US * 1000);
    expect(linger.isTrafficDense).toBe(true);
  });

  test("is none while events are further apart than the bound, which would only burn time", () => {
    const linger = new Linger();
    play(linger, repeat(140_000, 20));
    expect(linger.durationNs).toBe(0);
    expect(linger.isTrafficDense).toBe(false);
  });

  test("does not begin for traffic that is dense, but less so than the bound", () => {
    const linger = new Linger();
    play(linger, repeat(65_000, 30));
    expect(linger.durationNs).toBe(0);
    expect(linger.isTrafficDense).toBe(true);
  });

  test("is found again within a few events after a long pause", () => {
    const linger = new Linger();
    play(linger, [...repeat(10_000, 20), 10_000_000_000]);
    play(linger, repeat(10_000, 5));
    expect(linger.durationNs).toBeGreaterThan(0);
  });

  test("is not given up because of one pause", () => {
    const linger = new Linger();
    play(linger, [...repeat(5_000, 30), 60_000_000]);
    expect(linger.durationNs).toBeGreaterThan(0);
  });

  test("ends after a few sparse events in a row", () => {
    const linger = new Linger();
    play(linger, repeat(5_000, 30));
    play(linger, repeat(100_000_000, 4));
    expect(linger.durationNs).toBe(0);
  });

  test("is never on with a bound of 0", () => {
    const linger = new Linger();
    linger.boundUs = 0;
    play(linger, repeat(0, 50));
    expect(linger.durationNs).toBe(0);
  });

  test("takes the cost of the wake-up off a gap that was slept through", () => {
    const slept = new Linger();
    let nowNs = 1_000_000;
    for (let count = 0; count < 20; count++) {
      slept.fellAsleep(nowNs);
      nowNs += 80_000;
      slept.sawEvent(nowNs);
    }
    const awake = new Linger();
    play(awake, repeat(80_000, 20));
    expect(slept.isTrafficDense).toBe(true);
    expect(awake.isTrafficDense).toBe(false);
  });

  test("counts a gap from when the executor first had nothing to do, however often it says so", () => {
    const linger = new Linger();
    let nowNs = 1_000_000;
    for (let count = 0; count < 20; count++) {
      linger.becameIdle(nowNs);
      linger.becameIdle(nowNs + 50_000);
      linger.fellAsleep(nowNs + 100_000);
      nowNs += 180_000;
      linger.sawEvent(nowNs);
    }
    expect(linger.isTrafficDense).toBe(false);
  });

  test("knows whether the executor is idle", () => {
    const linger = new Linger();
    expect(linger.isIdle).toBe(false);
    linger.becameIdle(5);
    expect(linger.isIdle).toBe(true);
    linger.sawEvent(6);
    expect(linger.isIdle).toBe(false);
    linger.fellAsleep(7);
    expect(linger.isIdle).toBe(true);
  });

  test("is either none or the bound, whatever the traffic, and follows it", () => {
    const gaps = fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 50 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 145 }), (gapsNs, boundUs) => {
        const linger = new Linger();
        linger.boundUs = boundUs;
        play(linger, gapsNs);
        expect([0, boundUs * 1000]).toContain(linger.durationNs);
        play(linger, repeat(0, 40));
        expect(linger.durationNs).toBe(boundUs * 1000);
        expect(linger.isTrafficDense).toBe(true);
        play(linger, repeat(1e9, 40));
        expect(linger.durationNs).toBe(0);
        expect(linger.isTrafficDense).toBe(false);
      }),
    );
  });
});

describe("a reactor that may doze", () => {
  expectNothingLeftBehind();

  /** A reactor whose thread is up and waits for the baton. */
  async function awake(dozeUs: number): Promise<TestReactor> {
    const test = new TestReactor();
    await test.open();
    test.reactor.lingerUs = 0;
    test.reactor.dozeUs = dozeUs;
    // Its thread has the baton since it was opened; who polls by itself takes it back.
    test.reactor.fetch(1);
    expect(internalsOf(test.reactor).channel.holder).toBe(Holder.EXECUTOR);
    return test;
  }

  test("waits by itself for what comes within its doze, and leaves nothing to its thread", async () => {
    await using test = await awake(10_000);
    const passes = spyOn(internalsOf(test.reactor).channel, "pass");
    await test.run(() => sleep(2));
    expect(passes).not.toHaveBeenCalled();
  });

  test.each([0, 1])("leaves the wait to its thread after its doze, which here is %p µs", async (dozeUs) => {
    await using test = await awake(dozeUs);
    const controller = new AbortController();
    const ending = test.executor.run(() => sleep(A_LONG_TIME_MS), { signal: controller.signal });
    await test.untilParked();
    controller.abort(new Error("enough"));
    expect((await rejectionOf(ending)).message).toBe("enough");
  });

  test("refuses a doze that is none, or too long", async () => {
    await using test = new TestReactor();
    expect(thrownBy(() => (test.reactor.dozeUs = 10_001)).message).toStartWith(
      "dozeUs must be a number of microseconds",
    );
    const error = await rejectionOf(run(() => sleep(0), { dozeUs: -1 }));
    expect(error.message).toStartWith("run: dozeUs must be a number of microseconds, from 0 to 10000");
  });
});

/** Never waited for. */
const A_LONG_TIME_MS = 1_000_000;
