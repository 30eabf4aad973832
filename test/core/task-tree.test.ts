import { afterEach, describe, expect, test } from "bun:test";
import { DeadlockError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park, promise } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { traceSpawns } from "../../src/core/spawn-site.ts";
import { cancel, currentTask, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { formatTree, type TaskSnapshot } from "../../src/core/task-tree.ts";
import { timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function newExecutor(): { driver: VirtualDriver; executor: Executor } {
  const driver = new VirtualDriver();
  return { driver, executor: new Executor(driver) };
}

/** The names of a tree's tasks, those of children in a list after that of their parent. */
function namesOf(tasks: readonly TaskSnapshot[]): unknown[] {
  return tasks.flatMap(({ name, children }) => (children.length === 0 ? [name] : [name, namesOf(children)]));
}

describe("the tree of the live tasks", () => {
  test("is empty while nothing runs, and when all has ended", async () => {
    const { driver, executor } = newExecutor();
    expect(executor.tasks()).toEqual([]);
    await settled(
      driver,
      executor.run(function* () {
        yield* spawn(() => sleep(1));
      }),
    );
    expect(executor.tasks()).toEqual([]);
  });

  test("has every task with its number, name, state, wait and children", async () => {
    const seen = await treeWhile(function* () {
      yield* spawn(function* sleeper() {
        yield* sleep(Infinity);
      });
      const parent = yield* spawn(function* parent() {
        yield* spawn(function* child() {
          yield* park<void>(() => {}, "a letter");
        });
        yield* sleep(1_000);
      });
      yield* spawn(() => sleep(1_000), { name: "background", daemon: true });
      yield* spawn(() => join(parent), { name: "joiner" });
    });
    const rest = { forMs: 5, spawnedAt: null, isDaemon: false, children: [] };
    expect(seen).toEqual([
      {
        ...rest,
        id: 2,
        name: "task sleeper (#2)",
        state: "suspended",
        waitsFor: "a deadline that never comes",
      },
      {
        ...rest,
        id: 3,
        name: "task parent (#3)",
        state: "suspended",
        waitsFor: "a deadline at 1000.0 ms",
        children: [{ ...rest, id: 6, name: "task child (#6)", state: "suspended", waitsFor: "a letter" }],
      },
      {
        ...rest,
        id: 4,
        name: "task background (#4)",
        state: "suspended",
        waitsFor: "a deadline at 1000.0 ms",
        isDaemon: true,
      },
      {
        ...rest,
        id: 5,
        name: "task joiner (#5)",
        state: "suspended",
        waitsFor: "the end of task parent (#3)",
      },
    ]);
  });

  /** Runs a main task that begins with something, and returns the children that it has five milliseconds later. */
  async function treeWhile(begin: () => Operation<void>): Promise<readonly TaskSnapshot[]> {
    const { driver, executor } = newExecutor();
    const main = await settled(
      driver,
      executor.run(() =>
        scope(function* (s) {
          yield* begin();
          yield* sleep(5);
          const [root] = executor.tasks();
          expect(root).toMatchObject({ id: 1, name: "task #1", state: "running", waitsFor: "" });
          s.cancel();
          return root!;
        }),
      ),
    );
    return main.children;
  }

  test("tells ready tasks, those that run and those that wait apart, each with the time since it became so", async () => {
    const { driver, executor } = newExecutor();
    const seen = await settled(
      driver,
      executor.run(function* main() {
        const waiter = yield* spawn(function* waiter() {
          yield* sleep(100);
        });
        yield* sleep(30);
        yield* spawn(function* fresh() {
          yield* sleep(1);
        });
        waiter.cancel();
        const [main] = executor.tasks();
        return [main!, ...main!.children].map(({ name, state, forMs }) => ({ name, state, forMs }));
      }),
    );
    expect(seen).toEqual([
      { name: "task main (#1)", state: "running", forMs: 0 },
      { name: "task waiter (#2)", state: "ready", forMs: 0 },
      { name: "task fresh (#3)", state: "ready", forMs: 0 },
    ]);
  });

  test("counts the time of a wait from its beginning, and of each wait anew", async () => {
    const { driver, executor } = newExecutor();
    const seen = await settled(
      driver,
      executor.run(function* () {
        yield* spawn(function* () {
          yield* sleep(10);
          yield* sleep(100);
        });
        yield* sleep(7);
        const first = executor.tasks()[0]!.children[0]!.forMs;
        yield* sleep(8);
        return [first, executor.tasks()[0]!.children[0]!.forMs];
      }),
    );
    expect(seen).toEqual([7, 5]);
  });

  test("shows the children of all open scopes, from the outermost to the innermost, the oldest first", async () => {
    const { driver, executor } = newExecutor();
    const named = (name: string): Operation<Task<void>> => spawn(() => sleep(10), { name });
    const names = await settled(
      driver,
      executor.run(function* main() {
        yield* named("a");
        yield* scope(function* () {
          yield* named("b");
          yield* timeout(1_000, () =>
            scope(function* () {
              yield* named("c");
              yield* named("d");
              yield* yieldNow();
              return namesOf(executor.tasks());
            }),
          );
          yield* sleep(20);
          yield* named("e");
        });
        yield* named("f");
        return namesOf(executor.tasks());
      }),
    );
    expect(names).toEqual(["task main (#1)", ["task f (#7)"]]);
    const within = await settled(
      driver,
      executor.run(function* main() {
        yield* named("a");
        return yield* scope(function* () {
          yield* named("b");
          return yield* scope(function* () {
            yield* named("c");
            yield* named("d");
            return namesOf(executor.tasks());
          });
        });
      }),
    );
    expect(within).toEqual(["task main (#8)", ["task a (#9)", "task b (#10)", "task c (#11)", "task d (#12)"]]);
  });

  test("shows each run and each loose task with all below it", async () => {
    const { driver, executor } = newExecutor();
    const family = function* (): Operation<void> {
      yield* spawn(() => sleep(10), { name: "child" });
      yield* sleep(10);
    };
    executor.spawn(family, { name: "loose" });
    const runs = [executor.run(family, { name: "first" }), executor.run(family, { name: "second" })];
    const names = await settled(
      driver,
      executor.run(function* watcher() {
        yield* sleep(5);
        return namesOf(executor.tasks());
      }),
    );
    expect(names).toEqual([
      "task first (#2)",
      ["task child (#6)"],
      "task second (#3)",
      ["task child (#7)"],
      "task watcher (#4)",
      "task loose (#1)",
      ["task child (#5)"],
    ]);
    await settled(driver, Promise.all(runs));
  });

  test("shows the tasks of blockOn while that blocks, and none after it", () => {
    const { executor } = newExecutor();
    const names = executor.blockOn(function* main() {
      yield* spawn(() => sleep(10), { name: "child" });
      yield* sleep(5);
      return namesOf(executor.tasks());
    });
    expect(names).toEqual(["task main (#1)", ["task child (#2)"]]);
    expect(executor.tasks()).toEqual([]);
    expect(() => executor.blockOn(() => park<void>(() => {}))).toThrow(DeadlockError);
    expect(executor.tasks()).toEqual([]);
  });

  test("says of a task that waits for its children whose end it waits for, three by name", async () => {
    const { driver, executor } = newExecutor();
    const waits = await settled(
      driver,
      executor.run(function* () {
        const two = yield* spawn(function* () {
          for (const name of ["a", "b"]) yield* spawn(() => sleep(10), { name });
        });
        const five = yield* spawn(function* () {
          yield* scope(function* () {
            for (const name of ["a", "b", "c", "d", "e"]) yield* spawn(() => sleep(10), { name });
          });
        });
        yield* sleep(1);
        return [two.waitsFor, five.waitsFor];
      }),
    );
    expect(waits).toEqual([
      "the end of task b (#5), task a (#4)",
      "the end of task e (#10), task d (#9), task c (#8) and 2 more",
    ]);
  });

  test("shows a task that cleans up, with what its clean-up waits for", async () => {
    const [seen] = await treeWhile(function* () {
      const task = yield* spawn(function* tidy() {
        try {
          yield* sleep(1_000);
        } finally {
          yield* sleep(10);
        }
      });
      yield* sleep(1);
      task.cancel();
    });
    expect(seen).toMatchObject({
      name: "task tidy (#2)",
      state: "suspended",
      waitsFor: "a deadline at 11.0 ms",
      forMs: 5,
    });
  });

  test("shows what waits for a source by the source's name", async () => {
    const { driver, executor } = newExecutor();
    const waits = await settled(
      driver,
      executor.run(function* () {
        const source = new Source(7, Delivery.EDGE, { label: "the serial port" });
        const reader = yield* spawn(() => ready(source, Interest.READABLE));
        const writer = yield* spawn(() => timeout(100, ready(source, Interest.WRITABLE)));
        yield* sleep(1);
        const seen = executor.tasks()[0]!.children.map(({ waitsFor }) => waitsFor);
        yield* cancel(reader);
        yield* cancel(writer);
        return seen;
      }),
    );
    expect(waits).toEqual(["reading from the serial port", "writing to the serial port"]);
  });

  test("can be asked for in a chain of 2,000 tasks, each the child of the one before", async () => {
    const { driver, executor } = newExecutor();
    const chain = function* (length: number): Operation<void> {
      if (length > 1) yield* spawn(() => chain(length - 1));
      yield* sleep(10);
    };
    const depth = await settled(
      driver,
      executor.run(function* () {
        yield* spawn(() => chain(2_000));
        yield* sleep(1);
        let count = 0;
        for (let [task] = executor.tasks(); task !== undefined; [task] = task.children) count++;
        return count;
      }),
    );
    expect(depth).toBe(2_001);
  });

  test("is a copy: what happens later does not change it", async () => {
    const { driver, executor } = newExecutor();
    const before = await settled(
      driver,
      executor.run(function* () {
        yield* spawn(() => sleep(5), { name: "child" });
        yield* yieldNow();
        const tree = executor.tasks();
        yield* sleep(10);
        return tree;
      }),
    );
    expect(before[0]!.children[0]!.state).toBe("suspended");
    expect(namesOf(before)).toEqual(["task #1", ["task child (#2)"]]);
  });
});

describe("the tree as text", () => {
  test("has a line for each task, indented below its parent", () => {
    const task: TaskSnapshot = {
      id: 1,
      name: "task main (#1)",
      state: "suspended",
      waitsFor: "readable 7",
      forMs: 12.34,
      spawnedAt: null,
      isDaemon: false,
      children: [
        {
          id: 2,
          name: "task worker (#2)",
          state: "ready",
          waitsFor: "",
          forMs: 0,
          spawnedAt: "/home/me/server.ts:12:9",
          isDaemon: true,
          children: [],
        },
      ],
    };
    expect(formatTree([task, task])).toBe(
      `task main (#1): suspended for 12.3 ms, waits for readable 7
  task worker (#2): ready for 0.0 ms, daemon, spawned at /home/me/server.ts:12:9
`.repeat(2),
    );
    expect(formatTree([])).toBe("");
  });
});

describe("where a task was spawned", () => {
  afterEach(() => traceSpawns(false));

  /** The line from which this is called. */
  function here(): number {
    const frame = new Error()
      .stack!.split("\n")
      .find((line) => line.includes(import.meta.file) && !line.includes("here"));
    return Number(/:(\d+):\d+\)?$/.exec(frame!)![1]);
  }

  test("is known, with file and line, of each task that was spawned since it is traced", async () => {
    const { driver, executor } = newExecutor();
    const child = function* (): Operation<void> {
      yield* sleep(1);
    };
    const sites = await settled(
      driver,
      executor.run(function* () {
        const before = yield* spawn(child);
        traceSpawns(true);
        const lines = [here() + 1, here() + 2, here() + 5];
        const bySpawn = yield* spawn(child);
        const inScope = yield* scope((s) => s.spawn(child));
        yield* yieldNow();
        // The place that asks counts, not the one that waits for the answer.
        const asked = spawn(child);
        const later = yield* asked;
        expect(before.spawnedAt).toBeNull();
        return [bySpawn, inScope, later].map(({ spawnedAt }, index) => [spawnedAt, lines[index]]);
      }),
    );
    for (const [site, line] of sites)
      expect(site).toMatch(new RegExp(`^(/|[A-Z]:).*[/\\\\]task-tree\\.test\\.ts:${line}:\\d+$`));
  });

  test("is known of main tasks and loose ones", async () => {
    const { driver, executor } = newExecutor();
    traceSpawns(true);
    const site = function* (): Operation<string | null> {
      return (yield* currentTask()).spawnedAt;
    };
    const lines = [here() + 1, here() + 2, here() + 3];
    const ofRun = await settled(driver, executor.run(site));
    const ofBlockOn = executor.blockOn(site);
    const ofSpawn = executor.spawn(site).spawnedAt;
    executor.blockOnAll();
    for (const [index, spawnedAt] of [ofRun, ofBlockOn, ofSpawn].entries())
      expect(spawnedAt).toMatch(new RegExp(`[/\\\\]task-tree\\.test\\.ts:${lines[index]}:\\d+$`));
  });

  test("is in the tree, and is not asked for any more once tracing has ended", async () => {
    const { driver, executor } = newExecutor();
    const sites = await settled(
      driver,
      executor.run(function* () {
        traceSpawns(true);
        yield* spawn(() => sleep(1));
        traceSpawns(false);
        yield* spawn(() => sleep(1));
        return executor.tasks()[0]!.children.map(({ spawnedAt }) => spawnedAt);
      }),
    );
    expect(sites).toEqual([expect.stringContaining("task-tree.test.ts"), null]);
  });
});

describe("a deadlock", () => {
  /** Waits for what never comes, without waiting for the host. */
  const stuck = function* (name: string, log: string[]): Operation<void> {
    const me = yield* currentTask();
    try {
      // A task that joins one that joins it: both wait for ever.
      const other: Task<void> = yield* spawn(function* other() {
        yield* sleep(0);
      });
      yield* join(other);
      yield* join(waitingFor.get(name)?.() ?? me);
    } finally {
      log.push(`${name} of ${me.name} tidies`);
    }
  };
  const waitingFor = new Map<string, () => Task<unknown>>();

  const program = (log: string[]): (() => Operation<void>) =>
    function* main() {
      const tasks: Record<string, Task<void>> = {};
      yield* scope(function* () {
        for (const [name, awaited] of [
          ["left", "right"],
          ["right", "left"],
        ] as const) {
          waitingFor.set(name, () => tasks[awaited]!);
          tasks[name] = yield* spawn(() => stuck(name, log), { name });
        }
        yield* spawn(
          function* parent() {
            yield* spawn(() => join(tasks["left"]!), { name: "grandchild" });
          },
          { name: "parent" },
        );
        yield* join(tasks["left"]!);
      });
    };
  const everyWait = [
    { taskName: "task main (#1)", waitsFor: "the end of task left (#2)" },
    { taskName: "task left (#2)", waitsFor: "the end of task right (#3)" },
    { taskName: "task right (#3)", waitsFor: "the end of task left (#2)" },
    { taskName: "task parent (#4)", waitsFor: expect.stringMatching(/^the end of task grandchild/) },
    { taskName: expect.stringMatching(/^task grandchild/), waitsFor: "the end of task left (#2)" },
  ];

  test("in blockOn lists every task of the tree with its wait, after all have cleaned up", () => {
    const { executor } = newExecutor();
    const log: string[] = [];
    const error = thrownBy(() => executor.blockOn(program(log)), DeadlockError);
    expect(error.waits).toEqual(everyWait);
    for (const { taskName, waitsFor } of error.waits)
      expect(error.message).toContain(`${taskName} waits for ${waitsFor}`);
    expect(log).toEqual(["right of task right (#3) tidies", "left of task left (#2) tidies"]);
    expect(executor.tasks()).toEqual([]);
  });

  test("is none while a task of the run, or of another, waits for time, for the host or for a source", async () => {
    const { driver, executor } = newExecutor();
    const source = new Source(7, Delivery.EDGE, { label: "the serial port" });
    const latecomer = executor.run(
      function* () {
        yield* sleep(10);
        yield* park<void>(({ succeed }) => void setImmediate(succeed));
        yield* spawn(function* () {
          yield* sleep(10);
          driver.declareReady(7, Readiness.READABLE);
        });
        yield* ready(source, Interest.READABLE);
        return "in the end";
      },
      { detectDeadlock: true },
    );
    const joiner = executor.run(
      function* () {
        const other = yield* spawn(() => promise(latecomer));
        return yield* join(other);
      },
      { detectDeadlock: true },
    );
    expect(await settled(driver, joiner)).toBe("in the end");
  });

  test("in a run that was asked to look for it does as well", async () => {
    const { driver, executor } = newExecutor();
    const log: string[] = [];
    const error = await rejectionOf(
      settled(driver, executor.run(program(log), { detectDeadlock: true })),
      DeadlockError,
    );
    expect(error.waits).toEqual(everyWait);
    expect(log).toHaveLength(2);
    expect(executor.tasks()).toEqual([]);
  });
});
