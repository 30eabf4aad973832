import { describe, expect, test } from "bun:test";
import { BusyError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { firstOf } from "../../src/core/first-of.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { promiseRequest } from "../../src/core/park.ts";
import { DeadlineRequest, InterestRequest, ParkRequest, type Suspension } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

/** A request that the test answers, and that counts. */
class Probe {
  suspension: Suspension | null = null;
  undos = 0;
  readonly request: ParkRequest;

  constructor(words = "a probe") {
    const undo = (): void => {
      this.undos++;
      this.suspension = null;
    };
    this.request = new ParkRequest((suspension) => {
      this.suspension = suspension;
      return { undo };
    }, words);
  }
}

const answeringAtOnce = new ParkRequest((suspension) => {
  suspension.resume("at once");
  return null;
}, "nothing");

const failingToArm = new ParkRequest(() => {
  throw new Error("cannot be armed");
}, "nothing");

describe("the first of several requests", () => {
  test("is told by its index, and the others are taken back, once each", async () => {
    const probes = [new Probe(), new Probe(), new Probe()];
    const driver = new VirtualDriver();
    const index = await settled(
      driver,
      new Executor(driver).run(function* main() {
        yield* spawn(function* () {
          probes[1]!.suspension!.resume("the value is not asked for");
        });
        return yield* firstOf(probes.map(({ request }) => request));
      }),
    );
    expect(index).toBe(1);
    expect(probes.map(({ undos }) => undos)).toEqual([1, 0, 1]);
  });

  test("that is answered while it is armed takes back those before it, and leaves those after it alone", async () => {
    const before = new Probe();
    const after = new Probe();
    const driver = new VirtualDriver();
    const index = await settled(
      driver,
      new Executor(driver).run(() => firstOf([before.request, answeringAtOnce, after.request])),
    );
    expect(index).toBe(1);
    expect([before.undos, after.undos]).toEqual([1, 0]);
    expect(after.suspension).toBeNull();
  });

  test("that cannot be armed throws, with those before it taken back", async () => {
    const before = new Probe();
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(() => firstOf([before.request, failingToArm]));
    expect((await rejectionOf(settled(driver, running))).message).toBe("cannot be armed");
    expect(before.undos).toBe(1);
  });

  test("that fails throws its error, with the others taken back", async () => {
    const probe = new Probe();
    const error = new Error("lost");
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(() => firstOf([probe.request, promiseRequest(Promise.reject(error))]));
    expect(await rejectionOf(settled(driver, running))).toBe(error);
    expect(probe.undos).toBe(1);
  });

  test("counts: a second answer in the same moment is ignored", async () => {
    const probes = [new Probe(), new Probe()];
    const driver = new VirtualDriver();
    const log = await settled(
      driver,
      new Executor(driver).run(function* main() {
        yield* spawn(function* () {
          const [first, second] = probes.map(({ suspension }) => suspension!);
          first!.resume(1);
          second!.resume(2);
          first!.fail(new Error("again"));
        });
        const index = yield* firstOf(probes.map(({ request }) => request));
        yield* sleep(1);
        return index;
      }),
    );
    expect(log).toBe(0);
  });

  test("takes all of them back if the task is cancelled", async () => {
    const probes = [new Probe(), new Probe()];
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    await settled(
      driver,
      executor.run(function* main() {
        const requests = [...probes.map(({ request }) => request), DeadlineRequest.after(1e9)];
        const child = yield* spawn(() => firstOf(requests));
        yield* sleep(1);
        yield* cancel(child);
      }),
    );
    expect(probes.map(({ undos }) => undos)).toEqual([1, 1]);
    expect(executor.timers.size).toBe(0);
  });

  test("may be a deadline or a source, of which the loser is watched no more", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const source = new Source(7, Delivery.ONE_SHOT, { label: "descriptor 7" });
    const answers = await settled(
      driver,
      executor.run(function* main() {
        const timeOut = yield* firstOf([new InterestRequest(source, Interest.READABLE), DeadlineRequest.after(5e6)]);
        const watchedAfterTimeOut = driver.watched.length;
        driver.declareReady(7, Readiness.READABLE);
        const ready = yield* firstOf([DeadlineRequest.after(5e6), new InterestRequest(source, Interest.READABLE)]);
        return { timeOut, watchedAfterTimeOut, ready };
      }),
    );
    expect(answers).toEqual({ timeOut: 1, watchedAfterTimeOut: 0, ready: 1 });
    expect(executor.timers.size).toBe(0);
    expect(executor.interestCount).toBe(0);
  });

  test("of two deadlines is the earlier one, and the first one armed of equal ones", async () => {
    const driver = new VirtualDriver();
    const indices = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const earlier = yield* firstOf([DeadlineRequest.after(9e6), DeadlineRequest.after(3e6)]);
        const equal = yield* firstOf([DeadlineRequest.after(3e6), DeadlineRequest.after(3e6)]);
        return [earlier, equal];
      }),
    );
    expect(indices).toEqual([1, 0]);
  });

  test("of two deadlines ends once, with the driver's error, when the driver fails", async () => {
    const driver = new VirtualDriver();
    const failure = new Error("no more time");
    const running = new Executor(driver).run(function* main() {
      yield* spawn(function* breaker() {
        driver.fail(failure);
      });
      yield* firstOf([DeadlineRequest.after(9e6), DeadlineRequest.after(3e6)]);
    });
    expect(await rejectionOf(settled(driver, running))).toBe(failure);
  });

  test("says what is waited for in the words of all", async () => {
    const driver = new VirtualDriver();
    const words = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const child = yield* spawn(() => firstOf([new Probe("a letter").request, new Probe("a call").request]));
        yield* sleep(1);
        const { waitsFor } = child;
        child.cancel();
        return waitsFor;
      }),
    );
    expect(words).toBe("a letter or a call");
  });

  test("names the task, not the contest, to a second one that wants a busy source", async () => {
    const driver = new VirtualDriver();
    const source = new Source(7, Delivery.EDGE, { label: "descriptor 7" });
    const running = new Executor(driver).run(function* main() {
      yield* spawn(() => firstOf([new InterestRequest(source, Interest.READABLE)]), { name: "holder" });
      yield* sleep(1);
      yield* firstOf([new InterestRequest(source, Interest.READABLE)]);
    });
    const error = await rejectionOf(settled(driver, running), BusyError);
    expect(error.message).toContain("task holder (#2)");
  });
});
