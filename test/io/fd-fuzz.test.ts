/**
 * Waits by number while numbers are closed, opened again, announced and not, in every order that fast-check comes up with:
 * no wait may end with what another file did, none may be forgotten, and nothing may be left. fast-check prints the seed
 * of a run that fails.
 */

import { expect } from "bun:test";
import fc from "fast-check";
import {
  BusyError,
  ClosedError,
  type DescriptorSource,
  Executor,
  notifyClosing,
  type Operation,
  Reactor,
  readable,
  source,
  spawn,
  type Task,
  yieldNow,
} from "../../src/index.ts";
import { duplicateTo, EventCounter } from "../support/libc.ts";
import { onePoll } from "../support/loopback.ts";
import { effort } from "../support/effort.ts";
import { testUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

type Command =
  | { readonly act: "wait" | "waitBySource" | "cancel" | "signal" | "take" | "keep" | "letGo"; readonly place: number }
  | { readonly act: "reopen"; readonly place: number; readonly isAnnounced: boolean };

type Ending = "ready" | ClosedError | BusyError;

const PLACES = 2;

testUnless(needs("anyDescriptor"))("no wait ends with what another file did, and none is forgotten", () => {
  fc.assert(
    fc.property(COMMANDS, (commands) => {
      using reactor = new Reactor();
      new Executor(reactor).blockOn(() => runAll(commands));
      expect(reactor.registrator().size).toBe(0);
    }),
    { numRuns: effort(500) },
  );
});

function* runAll(commands: readonly Command[]): Operation<void> {
  using ticker = new EventCounter(1);
  const places = Array.from({ length: PLACES }, () => new Place());
  for (const command of commands) {
    yield* places[command.place]!.perform(command);
    yield* onePoll(ticker);
    for (const place of places) place.check();
  }
  for (const place of places) yield* place.close();
}

/** A number, the files that it stands for one after the other, and who waits for it. */
class Place {
  private readonly counter = new EventCounter();
  private kept: DescriptorSource | null = null;
  /** How often the number was closed and opened again. */
  private file = 0;
  private isReady = false;
  private waiter: { readonly file: number; readonly task: Task<Ending> } | null = null;
  private isWaitedForBySource = false;

  *perform(command: Command): Operation<void> {
    switch (command.act) {
      case "wait":
        return yield* this.wait(() => readable(this.counter.descriptor), false);
      case "waitBySource":
        if (this.kept !== null) yield* this.wait(() => this.kept!.readable(), true);
        return;
      case "cancel":
        this.waiter?.task.cancel();
        this.waiter = null;
        return;
      case "signal":
        this.counter.signal();
        this.isReady = true;
        return;
      case "take":
        if (this.isReady) this.counter.take();
        this.isReady = false;
        return;
      case "keep":
        this.kept ??= yield* source(this.counter.descriptor);
        return;
      case "letGo":
        if (this.isWaitedForBySource) this.waiter = null;
        this.kept?.close();
        this.kept = null;
        return;
      case "reopen":
        return yield* this.reopen(command.isAnnounced);
    }
  }

  /** The wait of the moment must have ended if the file that it is for is ready, and else must not have. */
  check(): void {
    if (this.waiter === null) return;
    const { file, task } = this.waiter;
    if (file !== this.file) {
      // Nobody has said so, and whether it was found out depends on what came after: but it is not woken.
      expect(["suspended", "completed"]).toContain(task.state);
      return;
    }
    expect(task.state).toBe(this.isReady ? "completed" : "suspended");
    if (this.isReady) this.waiter = null;
  }

  *close(): Operation<void> {
    this.kept?.close();
    yield* notifyClosing(this.counter.descriptor);
    this.counter[Symbol.dispose]();
  }

  private *wait(operation: () => Operation<unknown>, isBySource: boolean): Operation<void> {
    const before = this.waiter;
    const isTaken = before !== null && before.file === this.file;
    const { file } = this;
    const task = yield* spawn(() => endingOf(operation, () => this.isReady && this.file === file));
    yield* yieldNow();
    if (isTaken) expect(task.state).toBe("completed");
    else {
      this.waiter = { file, task };
      this.isWaitedForBySource = isBySource;
    }
  }

  private *reopen(isAnnounced: boolean): Operation<void> {
    if (isAnnounced) {
      yield* notifyClosing(this.counter.descriptor);
      this.kept = null;
      this.waiter = null;
    }
    using next = new EventCounter();
    duplicateTo(next.descriptor, this.counter.descriptor);
    this.file++;
    this.isReady = false;
  }
}

function* endingOf(operation: () => Operation<unknown>, mayEnd: () => boolean): Operation<Ending> {
  try {
    yield* operation();
  } catch (error) {
    if (error instanceof ClosedError || error instanceof BusyError) return error;
    throw error;
  }
  if (!mayEnd()) throw new Error("a wait ended, but its file was not ready");
  return "ready";
}

const PLACE = fc.integer({ min: 0, max: PLACES - 1 });

const COMMANDS: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    fc.record({
      act: fc.constantFrom("wait", "wait", "waitBySource", "cancel", "signal", "signal", "take", "keep", "letGo"),
      place: PLACE,
    }),
    fc.record({ act: fc.constant("reopen"), place: PLACE, isAnnounced: fc.boolean() }),
  ) as fc.Arbitrary<Command>,
  { minLength: 10, maxLength: 60, size: "max" },
);
