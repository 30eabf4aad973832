import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ClosedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest } from "../../src/core/first-of.ts";
import { isSingleRequest, type Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { Channel } from "../../src/sync/channel.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { effort } from "../support/effort.ts";

/** How a task comes to its item: in all ways the outcome is the same. */
type Way = "receive" | "next" | "race";

type Step =
  /** A task begins to send an item, or to receive one, and comes as far as it can. */
  | { readonly kind: "send" }
  | { readonly kind: "receive"; readonly way: Way }
  /** These happen between the steps of tasks: those that were resumed have not run yet. */
  | { readonly kind: "trySend" | "tryReceive" | "close" }
  | { readonly kind: "cancel"; readonly pick: number }
  /** All tasks come as far as they can. */
  | { readonly kind: "run" };

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("send" as const) }) },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constant("receive" as const),
      way: fc.constantFrom<Way>("receive", "next", "race"),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constantFrom("trySend" as const, "trySend" as const, "tryReceive" as const) }),
  },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("cancel" as const), pick: fc.nat(1_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("run" as const) }) },
);

/** The channel is mostly closed near the end, and often not at all. */
const sequences = fc
  .tuple(
    fc.array(steps, { maxLength: 60, size: "max" }),
    fc.option(fc.constant<Step>({ kind: "close" })),
    fc.array(steps, { maxLength: 10, size: "max" }),
  )
  .map(([before, close, after]) => (close === null ? [...before, ...after] : [...before, close, ...after]));

/** What became of a task: `sent`, an item, `closed`; nothing if it waits or was cancelled. */
type Outcome = "sent" | "closed" | number;

/** A channel as it should be, in plain arrays. Items are numbers in the order of sending; tasks have numbers, too. */
class Model {
  queue: number[] = [];
  receivers: number[] = [];
  senders: { readonly task: number; readonly item: number }[] = [];
  isClosed = false;
  readonly outcomes = new Map<number, Outcome>();
  /** Tasks that were given an item and have not run since. */
  private readonly handedOver = new Map<number, number>();

  constructor(private readonly capacity: number) {}

  /** Tasks that were resumed run. */
  run(): void {
    for (const [task, item] of this.handedOver) this.outcomes.set(task, item);
    this.handedOver.clear();
  }

  send(task: number, item: number): void {
    if (this.isClosed) this.outcomes.set(task, "closed");
    else if (this.trySend(item)) this.outcomes.set(task, "sent");
    else this.senders.push({ task, item });
  }

  receive(task: number): void {
    const item = this.tryReceive();
    if (item !== null) this.outcomes.set(task, item);
    else if (this.isClosed) this.outcomes.set(task, "closed");
    else this.receivers.push(task);
  }

  trySend(item: number): boolean {
    if (this.isClosed) return false;
    if (this.receivers.length > 0) this.handedOver.set(this.receivers.shift()!, item);
    else if (this.queue.length < this.capacity) this.queue.push(item);
    else return false;
    return true;
  }

  tryReceive(): number | null {
    const item = this.queue.shift() ?? this.takeFromSender();
    if (item !== null && this.queue.length < this.capacity) {
      const next = this.takeFromSender();
      if (next !== null) this.queue.push(next);
    }
    return item;
  }

  cancel(task: number): void {
    this.receivers = this.receivers.filter((receiver) => receiver !== task);
    this.senders = this.senders.filter((sender) => sender.task !== task);
    const item = this.handedOver.get(task);
    if (item === undefined) return;
    this.handedOver.delete(task);
    if (this.receivers.length > 0) this.handedOver.set(this.receivers.shift()!, item);
    else this.queue = [...this.queue, item].toSorted((left, right) => left - right);
  }

  close(): void {
    this.isClosed = true;
    for (const receiver of this.receivers) this.outcomes.set(receiver, "closed");
    for (const { task } of this.senders) this.outcomes.set(task, "closed");
    this.receivers = [];
    this.senders = [];
  }

  private takeFromSender(): number | null {
    const sender = this.senders.shift();
    if (sender === undefined) return null;
    this.outcomes.set(sender.task, "sent");
    return sender.item;
  }
}

/** A channel, and the tasks that use it. */
class Subject {
  readonly outcomes = new Map<number, Outcome>();
  readonly tasks: Task<void>[] = [];

  constructor(readonly channel: Channel<number>) {}

  send(task: number, item: number): Operation<Outcome> {
    const { channel } = this;
    return this.begin(task, function* () {
      yield* channel.send(item);
      return "sent";
    });
  }

  receive(task: number, way: Way): Operation<Outcome> {
    const { channel } = this;
    return this.begin(task, function* () {
      if (way === "receive") return yield* channel.receive();
      if (way === "race") return (yield* firstOf(channel.receive(), sleep(Infinity))) as number;
      const { done, value } = yield* channel.subscribe().next();
      return done === true ? "closed" : value;
    });
  }

  private *begin(task: number, work: () => Operation<Outcome>): Operation<Outcome> {
    const { outcomes } = this;
    this.tasks[task] = yield* spawn(function* () {
      try {
        outcomes.set(task, yield* work());
      } catch (error) {
        if (!(error instanceof ClosedError)) throw error;
        outcomes.set(task, "closed");
      }
    });
    return "sent";
  }
}

/** What `race` does with operations of a single request. */
function* firstOf(...operations: Operation<unknown>[]): Operation<unknown> {
  const requests = operations.map((operation) => {
    if (!isSingleRequest(operation)) throw new Error("the operation is not one of a single request");
    return operation.takeRequest();
  });
  const { value } = yield* contest(requests);
  return value;
}

describe("a channel", () => {
  test.each([0, 1, 3, Infinity])("of capacity %p behaves like a queue under any sequence of steps", (capacity) => {
    fc.assert(
      fc.property(sequences, (sequence) => {
        new Executor(new VirtualDriver()).blockOn(() => compare(capacity, sequence));
      }),
      { numRuns: effort(500) },
    );
  });

  test("loses and doubles nothing among tasks that send, receive, and are cancelled at any time", () => {
    const tasks = fc.array(
      fc.record({
        isSender: fc.boolean(),
        startsAtMs: fc.nat(5),
        pausesMs: fc.array(fc.nat(3), { minLength: 1, maxLength: 8 }),
        endsAtMs: fc.option(fc.nat(20)),
      }),
      { minLength: 2, maxLength: 12, size: "max" },
    );
    fc.assert(
      fc.property(fc.nat(3), tasks, (capacity, plans) => {
        const { sent, received } = new Executor(new VirtualDriver()).blockOn(() => trade(capacity, plans));
        expect(received.toSorted(byNumber)).toEqual(sent.toSorted(byNumber));
      }),
      { numRuns: effort(500) },
    );
  });
});

function* compare(capacity: number, sequence: readonly Step[]): Operation<void> {
  const channel = new Channel<number>(capacity);
  const subject = new Subject(channel);
  const model = new Model(capacity);
  let nextItem = 0;
  for (const step of sequence) {
    const task = subject.tasks.length;
    switch (step.kind) {
      case "send":
        model.run();
        model.send(task, nextItem);
        yield* subject.send(task, nextItem++);
        yield* letTasksRun(model);
        break;
      case "receive":
        model.run();
        model.receive(task);
        yield* subject.receive(task, step.way);
        yield* letTasksRun(model);
        break;
      case "run":
        yield* letTasksRun(model);
        break;
      case "trySend":
        expect(channel.trySend(nextItem)).toBe(model.trySend(nextItem));
        nextItem++;
        break;
      case "tryReceive":
        expect(channel.tryReceive()?.value ?? null).toBe(model.tryReceive());
        break;
      case "cancel":
        if (task === 0) break;
        model.cancel(step.pick % task);
        subject.tasks[step.pick % task]!.cancel();
        break;
      case "close":
        model.close();
        channel.close();
        break;
    }
    expect(observe(channel)).toEqual(observeModel(model));
  }
  yield* letTasksRun(model);
  expect(subject.outcomes).toEqual(model.outcomes);
  expect(drain(channel)).toEqual(drain({ tryReceive: () => boxed(model.tryReceive()) }));
  for (const task of subject.tasks) task.cancel();
}

/** The virtual clock moves only when all wait. */
function* letTasksRun(model: Model): Operation<void> {
  model.run();
  yield* sleep(1);
}

function observe(channel: Channel<number>): unknown {
  const { size, waitingReceivers, waitingSenders, isClosed } = channel;
  return { size, waitingReceivers, waitingSenders, isClosed };
}

function observeModel({ queue, receivers, senders, isClosed }: Model): unknown {
  return { size: queue.length, waitingReceivers: receivers.length, waitingSenders: senders.length, isClosed };
}

interface Plan {
  readonly isSender: boolean;
  readonly startsAtMs: number;
  readonly pausesMs: readonly number[];
  readonly endsAtMs: number | null;
}

/** Returns what was sent, as far as the senders know, and what was received, with what was left. */
function* trade(capacity: number, plans: readonly Plan[]): Operation<{ sent: number[]; received: number[] }> {
  const channel = new Channel<number>(capacity);
  const sent: number[] = [];
  const received: number[] = [];
  let nextItem = 0;
  const workers: Task<void>[] = [];
  for (const { isSender, startsAtMs, pausesMs } of plans) {
    const worker = yield* spawn(function* () {
      yield* sleep(startsAtMs);
      for (const pauseMs of pausesMs) {
        if (isSender) {
          const item = nextItem++;
          yield* channel.send(item);
          sent.push(item);
        } else received.push(yield* channel.receive());
        if (pauseMs > 0) yield* sleep(pauseMs);
      }
    });
    workers.push(worker);
  }
  for (const [index, { endsAtMs }] of plans.entries()) {
    if (endsAtMs === null) continue;
    yield* spawn(function* () {
      yield* sleep(endsAtMs);
      workers[index]!.cancel();
    });
  }
  yield* sleep(1_000);
  for (const worker of workers) worker.cancel();
  yield* sleep(1);
  return { sent, received: [...received, ...drain(channel)] };
}

function drain(channel: Pick<Channel<number>, "tryReceive">): number[] {
  const items: number[] = [];
  for (let box = channel.tryReceive(); box !== null; box = channel.tryReceive()) items.push(box.value);
  return items;
}

function boxed(item: number | null): { value: number } | null {
  return item === null ? null : { value: item };
}

function byNumber(left: number, right: number): number {
  return left - right;
}
