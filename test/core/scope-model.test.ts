/**
 * Random programs of scopes, tasks, limits, shields and clean-up, on the virtual clock, held against what must be true
 * of any of them. A failing program is printed by fast-check, with the seed to repeat it.
 */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CancelledError, ClosedError, TimeoutError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { ReadyQueue } from "../../src/core/ready-queue.ts";
import { runningTask } from "../../src/core/running-task.ts";
import { scope } from "../../src/core/scope-region.ts";
import type { Scope } from "../../src/core/scope.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Random } from "../../src/testing/random.ts";
import { SeededQueue } from "../../src/testing/seeded-queue.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { settled } from "../support/settled.ts";
import { effort } from "../support/effort.ts";
import { patient } from "../support/patience.ts";

describe("any program of scopes and tasks", () => {
  test(
    "ends all that it began, in order, and loses no error",
    async () => {
      await fc.assert(
        fc.asyncProperty(PROGRAMS, SEEDS, async (program, seed) => {
          const world = new World(seed);
          await world.run(program);
          expect(world.violations).toEqual([]);
        }),
        { numRuns: effort(PROGRAM_COUNT) },
      );
    },
    LONGEST_MS,
  );

  test(
    "takes the same course each time",
    async () => {
      await fc.assert(
        fc.asyncProperty(PROGRAMS, SEEDS, async (program, seed) => {
          const worlds = [new World(seed), new World(seed)];
          for (const world of worlds) await world.run(program);
          expect(worlds[1]!.trace).toEqual(worlds[0]!.trace);
        }),
        { numRuns: effort(100) },
      );
    },
    LONGEST_MS,
  );
});

/** How many children each task of a tree has, the root first. */
interface Tree {
  readonly children: readonly Tree[];
}

describe("a tree of tasks that is cancelled", () => {
  const treesOf = (levels: number): fc.Arbitrary<Tree> =>
    fc.record({
      children: levels === 0 ? fc.constant([]) : fc.array(treesOf(levels - 1), { maxLength: 3, size: "max" }),
    });
  const trees = treesOf(4);

  test(
    "stops waiting from the youngest to the oldest sibling, and cleans up children before their parents",
    async () => {
      await fc.assert(
        fc.asyncProperty(trees, fc.boolean(), fc.nat(2), async (tree, inScopes, cleanupTurns) => {
          const stopped: string[] = [];
          const cleaned: string[] = [];
          const live = function* (path: string, { children }: Tree): Operation<void> {
            for (const [index, child] of children.entries()) yield* spawn(() => grow(`${path}${index}`, child));
            try {
              yield* park<never>(() => () => stopped.push(path));
            } finally {
              for (let turn = 0; turn < cleanupTurns; turn++) yield* yieldNow();
              cleaned.push(path);
            }
          };
          const grow = (path: string, subtree: Tree): Operation<void> =>
            inScopes ? scope(() => live(path, subtree)) : live(path, subtree);
          const driver = new VirtualDriver();
          await settled(
            driver,
            new Executor(driver).run(function* () {
              const root = yield* spawn(() => grow("r", tree));
              yield* sleep(1);
              yield* cancel(root);
            }),
          );
          const paths = [...pathsOf("r", tree)];
          expect(stopped.toSorted()).toEqual(paths.toSorted());
          expect(cleaned.toSorted()).toEqual(paths.toSorted());
          for (const path of paths.filter((each) => each.length > 1)) {
            const parent = path.slice(0, -1);
            const older = `${parent}${Number(path.at(-1)) - 1}`;
            expect(cleaned.indexOf(path)).toBeLessThan(cleaned.indexOf(parent));
            if (stopped.includes(older)) expect(stopped.indexOf(path)).toBeLessThan(stopped.indexOf(older));
          }
        }),
        { numRuns: effort(200) },
      );
    },
    LONGEST_MS,
  );
});

function* pathsOf(path: string, { children }: Tree): Generator<string> {
  yield path;
  for (const [index, child] of children.entries()) yield* pathsOf(`${path}${index}`, child);
}

type Step =
  | { readonly kind: "sleep"; readonly ms: number }
  | { readonly kind: "yield" }
  /** Waits in a line: whoever leaves it before its time lets the next one through, and may fail at that. */
  | { readonly kind: "line"; readonly ms: number; readonly undoFails: boolean }
  | { readonly kind: "fail" }
  | { readonly kind: "catch"; readonly body: Block }
  | { readonly kind: "finally"; readonly body: Block; readonly cleanup: Block }
  | { readonly kind: "scope"; readonly body: Block }
  | { readonly kind: "shield"; readonly body: Block }
  | { readonly kind: "timeout"; readonly ms: number; readonly body: Block }
  | { readonly kind: "moveOnAfter"; readonly ms: number; readonly body: Block }
  | { readonly kind: "spawn"; readonly body: Block; readonly daemon: boolean; readonly supervised: boolean }
  /** Spawns in a scope further out, which may have ended. */
  | { readonly kind: "spawnOutside"; readonly body: Block; readonly levels: number }
  /** Joins the child that was spawned last. */
  | { readonly kind: "join" }
  /** Cancels the child that was spawned last, and waits for its end. */
  | { readonly kind: "cancelChild" }
  /** Cancels any task that was ever started, be it this one, one around it, or one that has ended. */
  | { readonly kind: "cancelAny"; readonly which: number }
  | { readonly kind: "cancelScope"; readonly levels: number };
type Block = readonly Step[];

/** Blocks with so many levels of others in them. */
function blocks(levels: number): fc.Arbitrary<Block> {
  return fc.array(steps(levels), { maxLength: 7, size: "max" });
}

function steps(levels: number): fc.Arbitrary<Step> {
  const ms = fc.constantFrom(0, 1, 1, 2, 3, 5, 8, 50);
  const undoFails = fc.nat(9).map((number) => number === 0);
  const flat = [
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("sleep" as const), ms }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("yield" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("line" as const), ms, undoFails }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("join" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancelChild" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancelAny" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancelScope" as const), levels: fc.nat(2) }) },
  ];
  if (levels === 0) return fc.oneof(...flat);
  const body = blocks(levels - 1);
  return fc.oneof(
    ...flat,
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("catch" as const), body }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("finally" as const), body, cleanup: body }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("scope" as const), body }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("shield" as const), body }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("timeout" as const), ms, body }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("moveOnAfter" as const), ms, body }) },
    { weight: 8, arbitrary: spawnSteps(body) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("spawnOutside" as const), body, levels: fc.nat(2) }) },
  );
}

function spawnSteps(body: fc.Arbitrary<Block>): fc.Arbitrary<Step> {
  const seldom = fc.nat(4).map((number) => number === 0);
  return fc.record({ kind: fc.constant("spawn" as const), body, daemon: seldom, supervised: seldom });
}

/** Some tasks, so that there is something going on from the beginning, and a main task with much to do. */
const PROGRAMS = fc
  .tuple(fc.array(spawnSteps(blocks(3)), { minLength: 1, maxLength: 4 }), blocks(4))
  .map((parts): Block => parts.flat());

/** The seed of the order in which ready tasks run; null for first come, first served. */
const SEEDS = fc.option(fc.nat());

/** Enough to find a defect that is put in on purpose in nearly all places; a hundred times as many found no other. */
const PROGRAM_COUNT = 1_000;

/** How long a test may take on a machine that is busy with others. */
const LONGEST_MS = patient(30_000);

/** How the body of a `try` has ended. */
type Ending = "returned" | "threw" | "was cancelled";

/** A scope as the model sees it. */
interface OpenScope {
  readonly scope: Scope;
  readonly around: OpenScope | null;
  /** The task that has opened it. */
  readonly task: Task<unknown>;
  hasEnded: boolean;
}

class World {
  readonly violations: string[] = [];
  readonly trace: string[] = [];
  private readonly driver = new VirtualDriver();
  private readonly executor: Executor;
  private readonly tasks: Task<unknown>[] = [];
  private readonly liveChildren = new Map<Task<unknown> | null, number>();
  private readonly raised = new Set<Error>();
  /** Errors that came out of the run, were caught, or were replaced by another as the language has it. */
  private readonly accountedFor = new Set<unknown>();
  private readonly line: Resumption<void>[] = [];
  private finallyCount = 0;
  /** What was cancelled by name. */
  private readonly toEnd = new Set<Task<unknown> | OpenScope>();
  private readonly protections = new Map<Task<unknown>, number>();

  constructor(seed: number | null) {
    const readyQueue = seed === null ? new ReadyQueue() : new SeededQueue(new Random(seed));
    this.executor = new Executor(this.driver, { readyQueue });
  }

  async run(program: Block): Promise<void> {
    this.executor.addInstrument({ created: (task) => this.created(task), ended: (task) => this.ended(task) });
    try {
      await settled(
        this.driver,
        this.executor.run(() => this.play(program, null), { cleanupMs: Infinity }),
      );
      this.trace.push("returned");
    } catch (error) {
      this.trace.push(`threw ${leavesOf(error).join(", ")}`);
      this.accountFor(error);
    }
    this.checkEnd();
  }

  private checkEnd(): void {
    const { timers, hostWaitCount, interestCount } = this.executor;
    if (timers.size > 0) this.violations.push(`${timers.size} timers are left`);
    if (hostWaitCount > 0) this.violations.push(`${hostWaitCount} waits for the host are left`);
    if (interestCount > 0) this.violations.push(`${interestCount} waits for sources are left`);
    if (this.finallyCount > 0) this.violations.push(`${this.finallyCount} finally blocks were never entered`);
    if (this.executor.tasks().length > 0) this.violations.push("a task is left");
    for (const task of this.tasks) if (!task.hasEnded) this.violations.push(`${task.name} has not ended`);
    for (const error of this.raised) {
      if (!this.accountedFor.has(error)) this.violations.push(`the error ${error.message} is lost`);
    }
  }

  private created(task: Task<unknown>): void {
    this.tasks.push(task);
    this.liveChildren.set(task.parent, (this.liveChildren.get(task.parent) ?? 0) + 1);
  }

  private ended(task: Task<unknown>): void {
    this.trace.push(`${task.name} ${task.state} at ${this.driver.now()}`);
    if ((this.liveChildren.get(task) ?? 0) > 0) this.violations.push(`${task.name} ended before its children`);
    this.liveChildren.set(task.parent, this.liveChildren.get(task.parent)! - 1);
  }

  private *play(block: Block, around: OpenScope | null): Operation<void> {
    const children: Task<unknown>[] = [];
    for (const step of block) {
      const child = yield* this.playStep(step, around, children);
      if (child !== undefined) children.push(child);
    }
  }

  private *playStep(
    step: Step,
    around: OpenScope | null,
    children: readonly Task<unknown>[],
  ): Operation<Task<unknown> | void> {
    const child = children.at(-1);
    switch (step.kind) {
      case "sleep":
        return yield* this.playSleep(step.ms, around);
      case "yield":
        return yield* yieldNow();
      case "line":
        return yield* moveOnAfter(step.ms, this.waitInLine(step.undoFails));
      case "fail":
        return this.raise();
      case "catch":
        return yield* this.playCatch(step.body, around);
      case "finally":
        return yield* this.playFinally(step.body, step.cleanup, around);
      case "scope":
        return yield* this.playScope(step.body, around);
      case "shield":
        return yield* this.playShield(step.body, around);
      case "timeout":
        return yield* timeout(step.ms, () => this.play(step.body, around));
      case "moveOnAfter":
        return yield* moveOnAfter(step.ms, () => this.play(step.body, around));
      case "spawn":
        return yield* this.playSpawn(step, around);
      case "spawnOutside":
        return yield* this.playSpawnOutside(step.body, outward(around, step.levels));
      case "join":
        return child === undefined ? undefined : ((yield* join(child)) as void);
      case "cancelChild":
        return child === undefined ? undefined : yield* cancel(child);
      case "cancelAny":
        return this.cancelTask(this.tasks[step.which % this.tasks.length]!);
      case "cancelScope":
        return this.cancelScope(outward(around, step.levels));
    }
  }

  private cancelTask(task: Task<unknown>): void {
    if (!task.hasEnded) this.toEnd.add(task);
    task.cancel();
  }

  private cancelScope(target: OpenScope | null): void {
    if (target === null) return;
    this.toEnd.add(target);
    target.scope.cancel();
  }

  private *playSleep(ms: number, around: OpenScope | null): Operation<void> {
    const mayReturn = this.isProtected || !this.isToEnd(around);
    yield* sleep(ms);
    if (!mayReturn) this.violations.push("a sleep has returned in what was cancelled before it");
  }

  /** Whether the task that runs was cancelled, or a scope that it has opened. */
  private isToEnd(around: OpenScope | null): boolean {
    const task = runningTask()!;
    if (this.toEnd.has(task)) return true;
    for (let own = around; own !== null; own = own.around) if (own.task === task && this.toEnd.has(own)) return true;
    return false;
  }

  /** Whether the task that runs is in a shield, or cleans up, or may still do so: it has caught an error. */
  private get isProtected(): boolean {
    return (this.protections.get(runningTask()!) ?? 0) > 0;
  }

  private protect(levels: 1 | -1): void {
    const task = runningTask()!;
    this.protections.set(task, (this.protections.get(task) ?? 0) + levels);
  }

  private *playShield(body: Block, around: OpenScope | null): Operation<void> {
    let isThrough = false;
    this.protect(1);
    try {
      yield* shield(() => this.play(body, around));
      isThrough = true;
    } catch (error) {
      isThrough = true;
      throw error;
    } finally {
      this.protect(-1);
      if (!isThrough) this.violations.push("a shield was cut off");
    }
  }

  private *playCatch(body: Block, around: OpenScope | null): Operation<void> {
    try {
      yield* this.play(body, around);
    } catch (error) {
      this.accountFor(error);
      this.protect(1);
    }
  }

  private *playFinally(body: Block, cleanup: Block, around: OpenScope | null): Operation<void> {
    const course = { ending: "was cancelled" as Ending, thrown: undefined as unknown };
    this.finallyCount++;
    try {
      yield* this.play(body, around);
      course.ending = "returned";
    } catch (error) {
      course.ending = "threw";
      course.thrown = error;
      throw error;
    } finally {
      this.finallyCount--;
      this.protect(1);
      yield* this.playCleanup(cleanup, around, course);
    }
  }

  private *playCleanup(
    cleanup: Block,
    around: OpenScope | null,
    { ending, thrown }: { ending: Ending; thrown: unknown },
  ): Operation<void> {
    let isThrough = false;
    try {
      yield* this.play(cleanup, around);
      isThrough = true;
    } catch (error) {
      isThrough = true;
      // The language lets the second error take the place of the first.
      if (ending === "threw") this.accountFor(thrown);
      throw error;
    } finally {
      this.protect(-1);
      if (!isThrough && ending === "was cancelled") this.violations.push("the clean-up of a cancel was cut off");
      // A cancel takes the place of an error as well.
      if (!isThrough && ending === "threw") this.accountFor(thrown);
    }
  }

  private *playScope(body: Block, around: OpenScope | null): Operation<void> {
    let own: OpenScope | undefined;
    const playBody = (opened: Scope): Operation<void> => {
      own = { scope: opened, around, task: runningTask()!, hasEnded: false };
      return this.play(body, own);
    };
    try {
      yield* scope(playBody);
    } finally {
      if (own !== undefined) this.checkScopeEnd(own);
    }
  }

  private checkScopeEnd(own: OpenScope): void {
    own.hasEnded = true;
    for (const task of this.tasks)
      if (task.scope === own.scope && !task.hasEnded) this.violations.push(`${task.name} has outlived its scope`);
  }

  private *playSpawn(
    { body, daemon, supervised }: Step & { kind: "spawn" },
    around: OpenScope | null,
  ): Operation<Task<unknown>> {
    const child = yield* spawn(() => this.play(body, around), { daemon, supervised });
    return child;
  }

  private *playSpawnOutside(body: Block, target: OpenScope | null): Operation<Task<unknown> | void> {
    if (target === null) return;
    try {
      const child = yield* target.scope.spawn(() => this.play(body, target));
      if (target.hasEnded) this.violations.push(`${child.name} was spawned in a scope that has ended`);
      // It is not returned: it may be a task around this one's siblings: who joined it could wait for its own end.
    } catch (error) {
      if (!(error instanceof ClosedError) || !target.hasEnded) throw error;
    }
  }

  private waitInLine(undoFails: boolean): Operation<void> {
    return park<void>((resumption) => {
      this.line.push(resumption);
      return () => {
        this.line.splice(this.line.indexOf(resumption), 1);
        this.line.shift()?.succeed();
        if (undoFails) this.raise();
      };
    });
  }

  private raise(): never {
    const error = new Error(`error ${this.raised.size}`);
    this.raised.add(error);
    throw error;
  }

  private accountFor(thrown: unknown): void {
    for (const leaf of leavesOf(thrown)) {
      this.accountedFor.add(leaf);
      if (this.raised.has(leaf as Error) || isOfThePackage(leaf)) continue;
      this.violations.push(`an error came from nowhere: ${Bun.inspect(leaf)}`);
    }
  }
}

function outward(around: OpenScope | null, levels: number): OpenScope | null {
  return levels === 0 || around === null ? around : outward(around.around, levels - 1);
}

/** The errors that several errors were made into one of. */
function leavesOf(error: unknown): unknown[] {
  if (error instanceof AggregateError) return error.errors.flatMap(leavesOf);
  if (error instanceof SuppressedError) return [...leavesOf(error.suppressed), ...leavesOf(error.error)];
  return [error];
}

function isOfThePackage(error: unknown): boolean {
  return error instanceof TimeoutError || error instanceof CancelledError;
}
