import { describe, expect, test } from "bun:test";
import { CancelledError, OperationReusedError, TimeoutError } from "../../src/core/errors.ts";
import { type Operation, RequestOperation } from "../../src/core/operation.ts";
import { park, promise, type Resumption } from "../../src/core/park.ts";
import { ParkRequest, type Suspension } from "../../src/core/request.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { TaskLocal } from "../../src/core/task-local.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { onCancel } from "../../src/flow/on-cancel.ts";
import { race } from "../../src/flow/race.ts";
import { Mutex } from "../../src/sync/mutex.ts";
import { Semaphore } from "../../src/sync/semaphore.ts";
import { underSeeds } from "../../src/testing/under-seeds.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { arm } from "../support/arms.ts";
import { rejectionOf } from "../support/failure.ts";
import { effort } from "../support/effort.ts";

/** For tests in which a task calls back what another has parked. */
const CALLBACKS = { waitsForHost: false } as const;

describe("a race", () => {
  test("ends with the value of the arm that is first, and when that is", () =>
    virtualTime(function* (world) {
      expect(yield* race([arm([], "hare", { workMs: 3 }), arm([], "tortoise", { workMs: 9 })])).toBe("hare");
      expect(world.nowMs).toBe(3);
    }));

  test("takes generator functions, generators and operations as arms", () =>
    virtualTime(function* () {
      function* after(durationMs: number, value: string): Operation<string> {
        yield* sleep(durationMs);
        return value;
      }
      expect(yield* race([sleep(9), after(3, "a generator")])).toBe("a generator");
      expect(yield* race([sleep(9), () => after(3, "a function")])).toBe("a function");
      expect(yield* race([after(9, "late"), sleep(3)])).toBeUndefined();
      expect(yield* race([after(9, "late"), promise(Promise.resolve("a promise"))])).toBe("a promise");
    }));

  test("throws the error of the arm that is first, with the others cancelled", () =>
    virtualTime(function* () {
      const log: string[] = [];
      const error = new Error("stumbled");
      try {
        yield* race([arm(log, "hare", { workMs: 3, error }), arm(log, "tortoise", { workMs: 9, cleanupMs: 1 })]);
      } catch (thrown) {
        log.push(String(thrown));
      }
      expect(log).toEqual([
        "hare begins",
        "tortoise begins",
        "hare throws",
        "hare has cleaned up",
        "tortoise has cleaned up",
        "Error: stumbled",
      ]);
    }));

  test("cancels the losers, the youngest first, and waits for their clean-up", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const winner = yield* race([
        arm(log, "b", { workMs: 9 }),
        arm(log, "a", { workMs: 3 }),
        arm(log, "c", { workMs: 9, cleanupMs: 2 }),
        arm(log, "d", { workMs: 9 }),
      ]);
      expect(log.slice(4)).toEqual([
        "a returns",
        "a has cleaned up",
        "d has cleaned up",
        "b has cleaned up",
        "c has cleaned up",
      ]);
      expect([winner, world.nowMs]).toEqual(["a", 5]);
    }));

  test("takes the waits of losers back, so that time does not run on for them", () =>
    virtualTime(function* (world) {
      yield* race([sleep(3), sleep(1_000_000)]);
      yield* race([sleep(3), () => sleep(1_000_000)]);
      expect(world.executor.timers.size).toBe(0);
    }));

  test("needs no task for an arm that is one request", () =>
    virtualTime(function* (world) {
      const created: string[] = [];
      world.executor.addInstrument({ created: (task) => void created.push(task.name) });
      yield* race([sleep(9), sleep(3), promise(Promise.resolve(1))]);
      expect(created).toEqual([]);
    }));

  test("tells its losers why they are cancelled", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const loser = (): Operation<void> => onCancel(sleep(9), (reason) => void reasons.push(reason));
      yield* race([loser, sleep(3)]);
      expect(reasons).toEqual(["another arm of the race was first"]);
    }));

  test("gives its arms the values of the task's locals, and keeps those that they set", () =>
    virtualTime(function* () {
      const user = new TaskLocal("nobody");
      yield* user.set("ada");
      const seen = yield* race([
        function* () {
          const inherited = yield* user.get();
          yield* user.set("bob");
          return inherited;
        },
      ]);
      expect([seen, yield* user.get()]).toEqual(["ada", "ada"]);
    }));

  test("of a hundred times as many arms as a task may complete operations at once has one winner and no survivor", () =>
    virtualTime(function* (world) {
      let cleanedUp = 0;
      const arms = Array.from({ length: 12_800 }, (_, index) => {
        return function* () {
          try {
            yield* sleep(index === 7_000 ? 1 : 1000);
            return index;
          } finally {
            cleanedUp++;
          }
        };
      });
      expect(yield* race(arms)).toBe(7_000);
      expect([cleanedUp, world.nowMs]).toEqual([12_800, 1]);
    }));
});

describe("a race with an arm that is ready at once", () => {
  test("does not begin the arms after it", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      using guard = yield* race([new Mutex().lock(), arm(log, "late", { workMs: 9 })]) as Operation<Disposable>;
      expect(guard).toBeDefined();
      expect([log, world.nowMs]).toEqual([[], 0]);
    }));

  test("leaves the single requests after it alone", () =>
    virtualTime(function* () {
      const [first, second] = [new Semaphore(1), new Semaphore(1)];
      yield* race([first.acquire(), second.acquire()]);
      expect([first.available, second.available]).toEqual([0, 1]);
    }));

  test("cancels the arms before it, which reach their first suspend point, and waits for their clean-up", () =>
    virtualTime(function* () {
      const log: string[] = [];
      yield* race([arm(log, "early", { workMs: 9 }), new Semaphore(1).acquire()]);
      expect(log).toEqual(["early begins", "early has cleaned up"]);
    }));

  test("is won by that arm although it stands after others that come to an end without a wait in their own turn", () =>
    virtualTime(function* () {
      function* atOnce(): Operation<string> {
        return "a task's turn comes later";
      }
      expect(yield* race([atOnce, new Semaphore(1).acquire()])).toBeUndefined();
    }));

  test("lets the first of two arms that never wait win", () =>
    virtualTime(function* () {
      const log: string[] = [];
      function* arms(name: string): Operation<string> {
        log.push(name);
        return name;
      }
      expect(yield* race([arms("a"), arms("b")])).toBe("a");
    }));
});

describe("the errors of a race's losers", () => {
  const cleanupError = new Error("clean-up failed");

  test("come out if their clean-up failed, instead of the winner's value", async () => {
    const racing = virtualTime(() =>
      race([arm([], "winner", { workMs: 1 }), arm([], "loser", { workMs: 9, cleanupMs: 1, cleanupError })]),
    );
    expect(await rejectionOf(racing)).toBe(cleanupError);
  });

  test("come out with the winner's, in the order in which they came", async () => {
    const error = new Error("stumbled");
    const racing = virtualTime(() =>
      race([
        arm([], "winner", { workMs: 1, error }),
        arm([], "b", { workMs: 9, cleanupMs: 1, cleanupError }),
        arm([], "c", { workMs: 9 }),
      ]),
    );
    expect((await rejectionOf(racing, AggregateError)).errors).toEqual([error, cleanupError]);
  });

  test("come out if they were on their way when another arm was first", async () => {
    const resumptions: Resumption<string>[] = [];
    const waiting = (): Operation<string> => park<string>((resumption) => void resumptions.push(resumption));
    const error = new Error("at the same time");
    const racing = virtualTime(function* () {
      yield* spawn(function* () {
        yield* sleep(1);
        resumptions[0]!.succeed("first");
        resumptions[1]!.fail(error);
      });
      return yield* race([() => waiting(), () => waiting()]);
    }, CALLBACKS);
    expect(await rejectionOf(racing)).toBe(error);
  });

  test("are those of their undo, too, and do not keep the others from being taken back", async () => {
    let isTakenBack = false;
    const undoError = new Error("cannot be undone");
    const racing = virtualTime(
      () =>
        race([
          park(() => () => void (isTakenBack = true)),
          park(() => () => {
            throw undoError;
          }),
          park(() => () => void (isTakenBack &&= true)),
          sleep(1),
        ]),
      CALLBACKS,
    );
    expect(await rejectionOf(racing)).toBe(undoError);
    expect(isTakenBack).toBe(true);
  });
});

describe("a race that is cancelled from outside", () => {
  test("cancels its arms, the youngest first, and waits for their clean-up", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const racer = yield* spawn(() =>
        race([arm(log, "a", { workMs: 9, cleanupMs: 2 }), arm(log, "b", { workMs: 9, cleanupMs: 1 }), sleep(9)]),
      );
      yield* sleep(1);
      yield* cancel(racer);
      expect(log).toEqual(["a begins", "b begins", "b has cleaned up", "a has cleaned up"]);
      expect([racer.state, world.nowMs, world.executor.timers.size]).toEqual(["cancelled", 3, 0]);
    }));

  test("tells its arms the reason", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const racer = yield* spawn(() => race([() => onCancel(sleep(9), (reason) => void reasons.push(reason))]));
      yield* sleep(1);
      racer.cancel("enough");
      yield* sleep(1);
      expect(reasons).toEqual(["enough"]);
    }));

  test("before its arms have begun lets them reach their first suspend point", () =>
    virtualTime(function* () {
      const log: string[] = [];
      const racer = yield* spawn(() => race([arm(log, "a", { workMs: 9 }), sleep(9)]));
      racer.cancel();
      yield* cancel(racer);
      expect(log).toEqual([]);
      const begun = yield* spawn(() => race([arm(log, "a", { workMs: 9 }), sleep(9)]));
      yield* spawn(function* () {
        begun.cancel();
      });
      yield* sleep(1);
      expect([begun.state, log]).toEqual(["cancelled", ["a begins", "a has cleaned up"]]);
    }));

  test("by a time limit throws its TimeoutError when the arms have cleaned up", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      try {
        yield* timeout(3, () => race([arm(log, "a", { workMs: 9, cleanupMs: 2 })]));
      } catch (error) {
        expect(error).toBeInstanceOf(TimeoutError);
      }
      expect([log.at(-1), world.nowMs]).toEqual(["a has cleaned up", 5]);
    }));

  test("while its losers clean up keeps what the winner brought, and is cancelled at the next wait", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const value = yield* moveOnAfter(5, function* () {
        log.push(yield* race([arm(log, "a", { workMs: 3 }), arm(log, "b", { workMs: 9, cleanupMs: 4 })]));
        yield* sleep(1);
        return "not reached";
      });
      expect([value, log.at(-1), world.nowMs]).toEqual([undefined, "a", 7]);
    }));

  test("when an arm has ended and before it goes on itself keeps what the arm brought, too", () =>
    virtualTime(function* (world) {
      let brought: unknown;
      const racer = yield* spawn(function* () {
        brought = yield* race([arm([], "a", { workMs: 3 }), arm([], "b", { workMs: 9 })]);
        yield* sleep(1);
        brought = "not reached";
      });
      const remove = world.executor.addInstrument({
        ended(task) {
          if (task.state === "completed") racer.cancel();
        },
      });
      yield* sleep(5);
      remove();
      expect([racer.state, brought]).toEqual(["cancelled", "a"]);
    }));

  test("in the same moment in which a limit of time passes has its outcome", () =>
    virtualTime(function* () {
      const arms = (): [Operation<void>, () => Operation<string>] => [sleep(9), arm([], "a", { workMs: 3 })];
      expect(yield* moveOnAfter(3, () => race(arms()))).toBe("a");
    }));

  test("is not if it is shielded", () =>
    virtualTime(function* () {
      let winner: unknown;
      const racer = yield* spawn(function* () {
        winner = yield* shield(() => race([arm([], "a", { workMs: 3 }), arm([], "b", { workMs: 9 })]));
        yield* sleep(1);
        winner = "not reached";
      });
      yield* sleep(1);
      yield* cancel(racer);
      expect([winner, racer.state]).toEqual(["a", "cancelled"]);
    }));
});

describe("races within each other", () => {
  test("end from the inside out when the outer one is decided", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const inner = function* (): Operation<string> {
        try {
          return yield* race([arm(log, "a", { workMs: 9, cleanupMs: 1 }), arm(log, "b", { workMs: 9 })]);
        } finally {
          log.push("the inner race has ended");
        }
      };
      expect(yield* race([inner, arm(log, "c", { workMs: 3 })])).toBe("c");
      expect(log.slice(3)).toEqual([
        "c returns",
        "c has cleaned up",
        "b has cleaned up",
        "a has cleaned up",
        "the inner race has ended",
      ]);
      expect(world.nowMs).toBe(4);
    }));

  test("have the winner of the winners", () =>
    virtualTime(function* () {
      const winner = yield* race([
        race([arm([], "a", { workMs: 4 }), arm([], "b", { workMs: 3 })]),
        race([arm([], "c", { workMs: 2 }), sleep(5)]),
        sleep(9),
      ]);
      expect(winner).toBe("c");
    }));

  test("pass on the error of the innermost", () =>
    virtualTime(function* () {
      const error = new Error("stumbled");
      let thrown: unknown;
      try {
        yield* race([race([race([arm([], "a", { workMs: 1, error }), sleep(9)]), sleep(9)]), sleep(9)]);
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBe(error);
    }));
});

describe("a race in a finally block", () => {
  test("of a cancelled task runs to its end, and so do its losers", () =>
    virtualTime(function* () {
      const log: string[] = [];
      const task = yield* spawn(function* () {
        try {
          yield* sleep(1000);
        } finally {
          log.push(yield* race([arm(log, "a", { workMs: 1 }), arm(log, "b", { workMs: 9, cleanupMs: 1 })]));
          log.push("after the race");
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      expect(log.slice(2)).toEqual(["a returns", "a has cleaned up", "b has cleaned up", "a", "after the race"]);
      expect(task.state).toBe("cancelled");
    }));

  test("of single requests too", () =>
    virtualTime(function* (world) {
      const task = yield* spawn(function* () {
        try {
          yield* sleep(1000);
        } finally {
          yield* race([sleep(3), sleep(9)]);
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      expect(world.nowMs).toBe(4);
    }));

  test("of a loser is waited for by the race that it has lost", () =>
    virtualTime(function* (world) {
      const loser = function* (): Operation<void> {
        try {
          yield* sleep(1000);
        } finally {
          yield* race([sleep(3), () => sleep(9)]);
        }
      };
      yield* race([loser, sleep(1)]);
      expect(world.nowMs).toBe(4);
    }));
});

describe("what was handed to an arm", () => {
  test("is given back if the race's task is cancelled before it has run again", () =>
    virtualTime(function* () {
      const semaphore = new Semaphore(1);
      yield* semaphore.acquire();
      for (const arms of [
        () => [semaphore.acquire(), sleep(9)],
        () => [semaphore.acquire(), () => sleep(9)],
        () => [() => semaphore.acquire(), () => sleep(9)],
      ]) {
        const racer = yield* spawn(() => race(arms()));
        yield* sleep(1);
        semaphore.release();
        racer.cancel();
        yield* cancel(racer);
        expect(semaphore.available).toBe(1);
        yield* semaphore.acquire();
      }
    }));

  test("is given back by a loser that did not come to take it", () =>
    virtualTime(function* () {
      const [first, second] = [new Semaphore(1), new Semaphore(1)];
      yield* first.acquire();
      yield* second.acquire();
      for (const arms of [
        () => [first.acquire(), second.acquire()],
        () => [() => first.acquire(), second.acquire()],
        () => [first.acquire(), () => second.acquire()],
        () => [() => first.acquire(), () => second.acquire()],
      ]) {
        const racer = yield* spawn(() => race(arms()));
        yield* sleep(1);
        first.release();
        second.release();
        yield* join(racer);
        expect(first.available + second.available).toBe(1);
        if (first.available === 1) yield* first.acquire();
        else yield* second.acquire();
      }
    }));

  test("is one thing only, of two arms that find something at once", () =>
    virtualTime(function* () {
      const [first, second] = [new Semaphore(1), new Semaphore(1)];
      yield* race([() => first.acquire(), () => second.acquire()]);
      expect([first.available, second.available]).toEqual([0, 1]);
    }));

  test("is not taken by a loser that was about to go on", () =>
    virtualTime(function* () {
      const semaphore = new Semaphore(1);
      const loser = function* (): Operation<void> {
        yield* sleep(1);
        yield* semaphore.acquire();
      };
      yield* race([() => sleep(1), loser]);
      expect(semaphore.available).toBe(1);
    }));

  test("by the undo of another goes back at once", () =>
    virtualTime(function* () {
      const returned: string[] = [];
      let first: Suspension | null = null;
      const waiting = new ParkRequest((suspension) => {
        first = suspension;
        return { undo: () => {} };
      }, "a gift");
      const giving = new ParkRequest(() => {
        const giver = { giveBack: (gift: string) => void returned.push(gift) };
        return { undo: () => first!.handOver("a gift", giver) };
      }, "nothing");
      yield* race([new RequestOperation("first", waiting), new RequestOperation("second", giving), sleep(1)]);
      expect(returned).toEqual(["a gift"]);
    }));

  test("does not upset a line in which several arms stand", () =>
    virtualTime(function* () {
      const semaphore = new Semaphore(2);
      yield* semaphore.acquire(1);
      const racer = yield* spawn(() => race([semaphore.acquire(2), semaphore.acquire(1), sleep(4)]));
      yield* sleep(1);
      const next = yield* spawn(() => semaphore.acquire(1));
      const last = yield* spawn(() => semaphore.acquire(2));
      yield* join(racer);
      yield* join(next);
      expect([semaphore.available, semaphore.waiting]).toEqual([0, 1]);
      semaphore.release(2);
      yield* join(last);
      expect(semaphore.waiting).toBe(0);
    }));

  test("is never lost and never doubled, whoever is first and whenever the race is cancelled", async () => {
    await underSeeds(effort(200), function* ({ random }) {
      const semaphore = new Semaphore(3);
      let held = 0;
      const kinds = [
        (): Operation<void> => semaphore.acquire(),
        () => () => semaphore.acquire(),
        () =>
          function* (): Operation<void> {
            yield* sleep(random.below(3));
            yield* semaphore.acquire();
          },
      ];
      yield* scope(function* () {
        for (let count = 0; count < 12; count++) {
          const racer = yield* spawn(function* () {
            const arms = Array.from({ length: 1 + random.below(3) }, () => random.pick(kinds)());
            const permit = yield* race([...arms.map((own) => permitOf(own)), () => nothingAfter(random.below(4))]);
            if (permit === null) return;
            held++;
            try {
              yield* sleep(random.below(3));
            } finally {
              held--;
              semaphore.release();
            }
          });
          if (random.below(3) === 0) {
            yield* spawn(function* () {
              yield* sleep(random.below(4));
              racer.cancel();
            });
          }
          if (random.below(2) === 0) yield* yieldNow();
        }
      });
      expect([held, semaphore.available, semaphore.waiting]).toEqual([0, 3, 0]);
    });
  });
});

/** An arm that has a permit in its care from the moment in which it has it. */
function permitOf(acquire: Operation<void> | (() => Operation<void>)): Operation<"permit"> | Operation<void> {
  return typeof acquire === "function" ? acquire() : acquire;
}

function* nothingAfter(durationMs: number): Operation<null> {
  yield* sleep(durationMs);
  return null;
}

describe("bad arms", () => {
  test("are refused by name: none, no list, no operation", async () => {
    expect(
      (
        await rejectionOf(
          virtualTime(() => race([])),
          TypeError,
        )
      ).message,
    ).toBe("race takes at least one operation: of none it would never end");
    const noList = virtualTime(() => race(sleep(1) as never));
    expect((await rejectionOf(noList, TypeError)).message).toBe(
      "race takes a list of operations, but was given a DeadlineOperation",
    );
    const noOperation = virtualTime(() => race([sleep(1), 5 as never]));
    expect((await rejectionOf(noOperation, TypeError)).message).toContain("but was given 5");
  });

  test("end those before them, with their clean-up", async () => {
    const log: string[] = [];
    const racing = virtualTime(() => race([arm(log, "a", { workMs: 9 }), "no operation" as never]));
    await rejectionOf(racing, TypeError);
    expect(log).toEqual(["a begins", "a has cleaned up"]);
  });

  test("are operations that were used before", async () => {
    const once = sleep(1);
    await rejectionOf(
      virtualTime(() => race([once, once])),
      OperationReusedError,
    );
  });
});

test("an arm that is cancelled by itself ends the race with a CancelledError", () =>
  virtualTime(function* () {
    const task = yield* spawn(() => sleep(9));
    yield* spawn(function* () {
      task.cancel("not needed");
    });
    let thrown: unknown;
    try {
      yield* race([join(task), sleep(5)]);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CancelledError);
    expect((thrown as CancelledError).reason).toBe("not needed");
  }));
