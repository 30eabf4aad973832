import { describe, expect, test } from "bun:test";
import { BusyError, ClosedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation } from "../../src/core/operation.ts";
import { InterestRequest, type SuspendRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

const PIPE = 7;

/** Waits for a source as the operations of streams do. */
function* until(source: Source, interest: Interest): Operation<Readiness> {
  return (yield new InterestRequest(source, interest) as SuspendRequest) as Readiness;
}

function edgeSource(): Source {
  return new Source(PIPE, Delivery.EDGE, { label: "the pipe" });
}

function oneShotSource(): Source {
  return new Source(PIPE, Delivery.ONE_SHOT, { label: "the pipe" });
}

describe("an edge source", () => {
  test("resumes its waiter with the readiness, and keeps it until it is cleared", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const readiness = await settled(
      driver,
      new Executor(driver).run(function* main() {
        yield* spawn(function* peer() {
          yield* sleep(1);
          driver.declareReady(PIPE, Readiness.READABLE);
        });
        const first = yield* until(source, Interest.READABLE);
        const cached = yield* until(source, Interest.READABLE);
        return [first, cached];
      }),
    );
    expect(readiness).toEqual([Readiness.READABLE, Readiness.READABLE]);
    source.clearReadable();
    expect(source.mayRead).toBe(false);
  });

  test("keeps an event that comes while nobody waits for it", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const writer = yield* spawn(() => until(source, Interest.WRITABLE));
        yield* sleep(1);
        driver.declareReady(PIPE, Readiness.READABLE | Readiness.WRITABLE);
        yield* join(writer);
        expect(source.mayRead).toBe(true);
        yield* until(source, Interest.READABLE);
      }),
    );
    expect(driver.now()).toBe(1e6);
  });

  test.each([
    ["an error", Readiness.FAILED, true],
    ["a hang-up", Readiness.READ_CLOSED | Readiness.WRITE_CLOSED, true],
    ["the peer's end-of-file", Readiness.READ_CLOSED, false],
  ])("wakes whoever must look at %s", async (_, readiness, wakesWriter) => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const woken: string[] = [];
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(function* () {
          yield* until(source, Interest.READABLE);
          woken.push("reader");
        });
        const writer = yield* spawn(function* () {
          yield* until(source, Interest.WRITABLE);
          woken.push("writer");
        });
        yield* sleep(1);
        driver.declareReady(PIPE, readiness);
        yield* sleep(1);
        reader.cancel();
        writer.cancel();
      }),
    );
    expect(woken).toEqual(wakesWriter ? ["reader", "writer"] : ["reader"]);
  });

  test("never forgets that the peer has closed", () => {
    const source = edgeSource();
    source.deliver(Readiness.READABLE | Readiness.WRITABLE | Readiness.READ_CLOSED | Readiness.WRITE_CLOSED);
    source.clearReadable();
    source.clearWritable();
    expect(source.readiness).toBe(Readiness.READ_CLOSED | Readiness.WRITE_CLOSED);
    expect([source.mayRead, source.mayWrite]).toEqual([true, true]);
  });

  test("is armed once, however often it is waited for", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        yield* spawn(function* peer() {
          for (let count = 0; count < 5; count++) {
            yield* sleep(1);
            driver.declareReady(PIPE, Readiness.READABLE);
          }
        });
        for (let count = 0; count < 5; count++) {
          yield* until(source, Interest.READABLE);
          source.clearReadable();
        }
      }),
    );
    expect(driver.counts.arm).toBe(1);
  });

  test("refuses a second reader, naming the first, but not a writer beside it", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const messages: string[] = [];
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(() => until(source, Interest.READABLE), { name: "first reader" });
        const writer = yield* spawn(() => until(source, Interest.WRITABLE), { name: "first writer" });
        yield* sleep(1);
        for (const interest of [Interest.READABLE, Interest.WRITABLE, Interest.READABLE | Interest.WRITABLE]) {
          try {
            yield* until(source, interest);
          } catch (error) {
            expect(error).toBeInstanceOf(BusyError);
            messages.push((error as Error).message);
          }
        }
        expect([reader.state, writer.state]).toEqual(["suspended", "suspended"]);
        reader.cancel();
        writer.cancel();
      }),
    );
    expect(messages).toHaveLength(3);
    expect(messages[0]).toContain("the pipe is being read by task first reader (#2)");
    expect(messages[1]).toContain("the pipe is being written to by task first writer (#3)");
    expect(messages[2]).toContain("first reader");
  });

  test("accepts another reader once the first has been cancelled", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const readiness = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(() => until(source, Interest.READABLE));
        yield* sleep(1);
        yield* cancel(reader);
        driver.declareReady(PIPE, Readiness.READABLE);
        return yield* until(source, Interest.READABLE);
      }),
    );
    expect(readiness).toBe(Readiness.READABLE);
  });

  test("resumes a wait for both directions once", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const executor = new Executor(driver);
    await settled(
      driver,
      executor.run(function* main() {
        const both = yield* spawn(() => until(source, Interest.READABLE | Interest.WRITABLE));
        yield* sleep(1);
        driver.declareReady(PIPE, Readiness.READABLE | Readiness.WRITABLE);
        expect(yield* join(both)).toBe(Readiness.READABLE | Readiness.WRITABLE);
      }),
    );
    expect([source.hasReader, source.hasWriter, executor.interestCount]).toEqual([false, false, 0]);
  });

  test("that is closed tells its waiters so by name, is let go of, and refuses new waits", async () => {
    const driver = new VirtualDriver();
    const source = edgeSource();
    const messages: string[] = [];
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        for (const interest of [Interest.READABLE, Interest.WRITABLE]) {
          yield* spawn(function* () {
            try {
              yield* until(source, interest);
            } catch (error) {
              expect(error).toBeInstanceOf(ClosedError);
              messages.push((error as Error).message);
            }
          });
        }
        yield* sleep(1);
        source.close();
        source.close();
        yield* sleep(1);
        messages.push((yield* outcomeOf(until(source, Interest.READABLE))).message);
      }),
    );
    expect(messages).toEqual([
      "the pipe was closed while a task waited for it",
      "the pipe was closed while a task waited for it",
      "the pipe is closed",
    ]);
    expect(driver.counts.release).toBe(1);
  });

  test("belongs to the executor that waited for it first: another is refused, and told what to do", async () => {
    const source = edgeSource();
    const home = new VirtualDriver();
    home.declareReady(PIPE, Readiness.READABLE);
    await settled(
      home,
      new Executor(home).run(() => until(source, Interest.READABLE)),
    );
    source.clearReadable();
    const abroad = new VirtualDriver();
    const running = new Executor(abroad).run(() => until(source, Interest.READABLE));
    const error = await rejectionOf(settled(abroad, running), BusyError);
    expect(error.message).toContain("the pipe belongs to another reactor");
  });
});

describe("a one-shot source", () => {
  test("is watched only while somebody waits, and remembers nothing", async () => {
    const driver = new VirtualDriver();
    const source = oneShotSource();
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        driver.declareReady(PIPE, Readiness.READABLE);
        expect(yield* until(source, Interest.READABLE)).toBe(Readiness.READABLE);
        expect(driver.watched).toEqual([]);
        driver.declareIdle(PIPE);
        const second = yield* spawn(() => until(source, Interest.READABLE));
        yield* sleep(10);
        expect(second.state).toBe("suspended");
        yield* cancel(second);
        expect(driver.watched).toEqual([]);
      }),
    );
    expect(driver.counts.arm).toBe(2);
  });

  test("goes on to be watched for the direction that still waits", async () => {
    const driver = new VirtualDriver();
    const source = oneShotSource();
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(() => until(source, Interest.READABLE));
        const writer = yield* spawn(() => until(source, Interest.WRITABLE));
        yield* sleep(1);
        expect(source.armed).toBe(Interest.READABLE | Interest.WRITABLE);
        driver.declareReady(PIPE, Readiness.WRITABLE);
        yield* join(writer);
        expect(source.armed).toBe(Interest.READABLE);
        driver.declareReady(PIPE, Readiness.READABLE);
        yield* join(reader);
        expect(source.armed).toBe(0);
      }),
    );
  });

  test("whose reader is cancelled goes on to be watched for its writer", async () => {
    const driver = new VirtualDriver();
    const source = oneShotSource();
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(() => until(source, Interest.READABLE));
        const writer = yield* spawn(() => until(source, Interest.WRITABLE));
        yield* sleep(1);
        yield* cancel(reader);
        expect(source.armed).toBe(Interest.WRITABLE);
        driver.declareReady(PIPE, Readiness.WRITABLE);
        expect(yield* join(writer)).toBe(Readiness.WRITABLE);
      }),
    );
  });
});

function* outcomeOf(operation: Operation<unknown>): Operation<Error> {
  try {
    yield* operation;
  } catch (error) {
    return error as Error;
  }
  throw new Error("the operation did not fail");
}
