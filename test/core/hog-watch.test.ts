import { describe, expect, test } from "bun:test";
import { Executor, type ExecutorOptions } from "../../src/core/executor.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import type { System } from "../../src/core/system.ts";
import { spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { settled } from "../support/settled.ts";

interface Watched {
  readonly driver: VirtualDriver;
  readonly executor: Executor;
  readonly warnings: string[];
  /** Computes for so many milliseconds, as the clock has it. */
  compute(durationMs: number): void;
}

function watched(options: ExecutorOptions = {}): Watched {
  const warnings: string[] = [];
  const system = { warn: (message: string) => void warnings.push(message) } as unknown as System;
  const driver = new VirtualDriver({ system });
  const executor = new Executor(driver, options);
  const compute = (durationMs: number): void => {
    driver.nowNs += durationMs * 1e6;
  };
  return { driver, executor, warnings, compute };
}

describe("a task that keeps the thread to itself", () => {
  test("is named, with how long it did and what to do", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* main() {
        yield* sleep(1);
        compute(250.4);
        yield* sleep(1);
      }),
    );
    expect(warnings).toEqual([
      "task main (#1) kept the thread for 250 ms without a suspend point, and all others waited: let it yield* " +
        "yieldNow() now and then, or do the work in a Worker",
    ]);
  });

  test("is named in blockOn as well", () => {
    const { executor, warnings, compute } = watched();
    executor.blockOn(function* main() {
      yield* spawn(function* hog() {
        yield* sleep(1);
        compute(250);
        yield* sleep(1);
      });
      yield* sleep(5);
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toStartWith("task hog (#2) kept the thread for 250 ms");
  });

  test("is one of those named if several ran before the clock was read", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* main() {
        for (const name of ["innocent", "hog", "bystander"]) {
          yield* spawn(
            function* () {
              yield* sleep(1);
              if (name === "hog") compute(150);
              yield* sleep(1);
            },
            { name },
          );
        }
      }),
    );
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toStartWith(
      "one of task innocent (#2), task hog (#3), task bystander (#4) kept the thread for 150 ms",
    );
  });

  test("is named for certain when it does so again", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* () {
        for (const name of ["innocent", "hog", "bystander"]) {
          yield* spawn(
            function* () {
              for (let count = 0; count < 2; count++) {
                yield* sleep(2_000);
                if (name === "hog") compute(150);
              }
              yield* sleep(1);
            },
            { name },
          );
        }
      }),
    );
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toStartWith("one of task innocent (#2), task hog (#3), task bystander (#4) kept");
    expect(warnings[1]).toStartWith("task hog (#3) kept the thread for 150 ms");
  });

  test("is told of once a second at most, however often it does so", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* hog() {
        for (let count = 0; count < 30; count++) {
          yield* sleep(1);
          compute(120);
        }
      }),
    );
    // 30 times 121 ms are 3.6 seconds.
    expect(warnings).toHaveLength(4);
  });

  test("is known by its number if it has ended", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* () {
        yield* spawn(function* hog() {
          compute(150);
        });
        yield* sleep(1);
      }),
    );
    expect(warnings[0]).toContain("task #2");
  });

  test("is found among the tasks of scopes, of other runs and of none", async () => {
    for (const start of [
      (executor: Executor, body: () => Operation<void>) => executor.run(body, { name: "hog" }),
      async (executor: Executor, body: () => Operation<void>) => void executor.spawn(body, { name: "hog" }),
    ]) {
      const { driver, executor, warnings, compute } = watched();
      const other = executor.run(() => sleep(1_000));
      const hog = start(executor, function* () {
        yield* sleep(10);
        compute(150);
        yield* sleep(10);
      });
      await settled(driver, Promise.all([other, hog]));
      expect(warnings[0]).toStartWith("task hog (#2) kept the thread");
    }
  });
});

describe("what is no hog", () => {
  test("is a task that waits for long", async () => {
    const { driver, executor, warnings } = watched();
    await settled(
      driver,
      executor.run(function* () {
        for (let count = 0; count < 5; count++) yield* sleep(100_000);
      }),
    );
    expect(warnings).toEqual([]);
  });

  test("is a task that computes for long, but yields now and then", async () => {
    const { driver, executor, warnings, compute } = watched();
    await settled(
      driver,
      executor.run(function* () {
        for (let count = 0; count < 200; count++) {
          // As long as all resumes between two looks at the clock may take together.
          compute(3);
          yield* yieldNow();
        }
      }),
    );
    expect(warnings).toEqual([]);
  });

  test("is one that stays below the limit, which can be set, or lifted", async () => {
    const warningsWith = async (hogMs: number | undefined, durationMs: number): Promise<number> => {
      const { driver, executor, warnings, compute } = watched({ hogMs });
      await settled(
        driver,
        executor.run(function* () {
          yield* sleep(1);
          compute(durationMs);
          yield* sleep(1);
        }),
      );
      return warnings.length;
    };
    expect(await warningsWith(undefined, 99)).toBe(0);
    expect(await warningsWith(undefined, 101)).toBe(1);
    expect(await warningsWith(10, 11)).toBe(1);
    expect(await warningsWith(500, 499)).toBe(0);
    expect(await warningsWith(Infinity, 1_000_000)).toBe(0);
  });

  test("is the host: what happens between the turns counts for nobody", async () => {
    const { driver, executor, warnings } = watched();
    driver.whenBlocked = () => {
      driver.nowNs += 500e6;
      driver.jump();
    };
    await settled(
      driver,
      executor.run(function* () {
        for (let count = 0; count < 3; count++) yield* sleep(1);
      }),
    );
    expect(warnings).toEqual([]);
  });

  test("is the host that resumes a task late", async () => {
    const { driver, executor, warnings } = watched();
    let resumption: Resumption<void> | undefined;
    const running = executor.run(() => park<void>((given) => void (resumption = given)));
    await hostTurn();
    driver.nowNs += 500e6;
    resumption!.succeed();
    await settled(driver, running);
    expect(warnings).toEqual([]);
  });

  test("is the thread of blockOn while the driver waits for a source", () => {
    const { driver, executor, warnings } = watched();
    const poll = driver.poll.bind(driver);
    driver.poll = () => {
      driver.nowNs += 500e6;
      driver.declareReady(7, Readiness.READABLE);
      return poll(0);
    };
    const source = new Source(7, Delivery.EDGE, { label: "the serial port" });
    executor.blockOn(function* () {
      for (let count = 0; count < 3; count++) {
        yield* ready(source, Interest.READABLE);
        source.clearReadable();
      }
    });
    expect(warnings).toEqual([]);
  });

  test("is the thread of blockOn while it is blocked in the driver", () => {
    const { executor, warnings } = watched();
    executor.blockOn(function* () {
      for (let count = 0; count < 3; count++) yield* sleep(500);
    });
    expect(warnings).toEqual([]);
  });
});

describe("the limit of hogs", () => {
  test.each([-1, Number.NaN, "5"])("refuses %p", (wrong) => {
    expect(() => new Executor(new VirtualDriver(), { hogMs: wrong as number })).toThrow(
      "hogMs must be a number of milliseconds, 0 or more",
    );
  });

  test("works on a driver without a system, which nobody can be told of anything by", async () => {
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(function* () {
        driver.nowNs += 500e6;
        yield* sleep(1);
      }),
    );
  });
});

describe("a thread that the operating system did not let run", () => {
  class SharedProcessor extends VirtualDriver {
    cpuNs = 0;

    threadCpuNs(): number {
      return this.cpuNs;
    }
  }

  test.each([
    ["has no hog, however long its task took", 5, []],
    ["has one if it ran nevertheless", 150, ["task main (#1) kept the thread for 250 ms"]],
  ])("%s", (_, cpuMs, expected) => {
    const warnings: string[] = [];
    const system = { warn: (message: string) => void warnings.push(message.slice(0, 41)) } as unknown as System;
    const driver = new SharedProcessor({ system });
    new Executor(driver).blockOn(function* main() {
      yield* sleep(1);
      driver.nowNs += 250e6;
      driver.cpuNs += cpuMs * 1e6;
      yield* sleep(1);
    });
    expect(warnings).toEqual(expected);
  });
});
