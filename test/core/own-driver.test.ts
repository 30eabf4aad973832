/** The executor on a driver that has nothing of the package's reactor: what `Driver` says is all that it needs. */

import { describe, expect, test } from "bun:test";
import { Executor } from "../../src/core/executor.ts";
import type { Driver, DriverClient } from "../../src/core/driver.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { InterestRequest } from "../../src/core/request.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { join, spawn } from "../../src/core/task-operations.ts";
import { readable } from "../../src/io/fd.ts";

/**
 * A "kernel" of mailboxes: a source is readable while its mailbox has a letter. It waits with the host's own timers,
 * and blocked with `Atomics.wait`.
 */
class MailboxDriver implements Driver {
  readonly letters = new Map<number, string[]>();
  /** Letters that arrive while the thread is blocked, with their times. */
  readonly postman: { readonly atNs: number; readonly mailbox: number; readonly letter: string }[] = [];
  private client: DriverClient | null = null;
  private readonly armed = new Set<Source>();
  private timer: Timer | undefined;

  now(): number {
    return performance.now() * 1e6;
  }

  attach(client: DriverClient): void {
    this.client = client;
  }

  detach(): void {
    this.client = null;
  }

  arm(source: Source, interest: Interest): void {
    source.armed |= interest;
    this.armed.add(source);
  }

  disarm(source: Source): void {
    source.armed = source.delivery === Delivery.ONE_SHOT ? source.wanted : source.armed;
    if (source.armed === 0) this.armed.delete(source);
  }

  release(source: Source): void {
    this.armed.delete(source);
  }

  poll(timeoutNs: number): number {
    let timeLeftNs = timeoutNs;
    const next = this.postman[0];
    if (timeoutNs > 0 && this.ready().length === 0) {
      timeLeftNs = Math.min(timeoutNs, next === undefined ? Infinity : next.atNs - this.now());
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, timeLeftNs / 1e6));
    }
    if (next !== undefined && this.now() >= next.atNs) {
      this.postman.shift();
      this.post(next.mailbox, next.letter);
    }
    const ready = this.ready();
    for (const source of ready) source.deliver(Readiness.READABLE);
    return ready.length;
  }

  park(deadlineNs: number, isWaiting: boolean): boolean {
    clearTimeout(this.timer);
    if (!isWaiting) return true;
    if (this.ready().length > 0) return false;
    if (deadlineNs !== Infinity) {
      // A timer of the host may fire a fraction early; the executor then parks again.
      this.timer = setTimeout(() => this.client?.onReady(), Math.max(0, (deadlineNs - this.now()) / 1e6));
    }
    return true;
  }

  schedule(afterHost: boolean): void {
    if (afterHost) setImmediate(() => this.client?.onReady());
    else queueMicrotask(() => this.client?.onReady());
  }

  close(): void {
    clearTimeout(this.timer);
  }

  post(mailbox: number, letter: string): void {
    const letters = this.letters.get(mailbox) ?? [];
    letters.push(letter);
    this.letters.set(mailbox, letters);
    this.client?.onReady();
  }

  private ready(): Source[] {
    return [...this.armed].filter((source) => (this.letters.get(source.descriptor) ?? []).length > 0);
  }
}

/** Takes a letter out of a mailbox; waits until there is one. */
function* receive(driver: MailboxDriver, source: Source): Operation<string> {
  for (;;) {
    const letter = driver.letters.get(source.descriptor)?.shift();
    if (letter !== undefined) return letter;
    source.clearReadable();
    yield new InterestRequest(source, Interest.READABLE);
  }
}

describe("an executor on a driver that was written elsewhere", () => {
  test("runs tasks that wait for its sources, for deadlines, for promises and for each other", async () => {
    const driver = new MailboxDriver();
    const source = new Source(1, Delivery.EDGE, { label: "mailbox 1" });
    const running = new Executor(driver).run(function* main() {
      const reader = yield* spawn(function* reader() {
        return [yield* receive(driver, source), yield* receive(driver, source)];
      });
      yield* sleep(1);
      driver.post(1, "first");
      yield* promise(Promise.resolve());
      setImmediate(() => driver.post(1, "second"));
      return yield* join(reader);
    });
    expect(await running).toEqual(["first", "second"]);
  });

  test("waits for descriptors of others through it, as if they were its own", async () => {
    const driver = new MailboxDriver();
    const running = new Executor(driver).run(function* main() {
      return yield* readable(5);
    });
    setImmediate(() => driver.post(5, "a letter that stays"));
    expect(await running).toBe(Readiness.READABLE);
    expect(driver.letters.get(5)).toHaveLength(1);
  });

  test("blocks the thread in its poll, and is woken by sources and deadlines", () => {
    const driver = new MailboxDriver();
    driver.postman.push({ atNs: driver.now() + 2e6, mailbox: 3, letter: "by post" });
    const source = new Source(3, Delivery.EDGE, { label: "mailbox 3" });
    const value = new Executor(driver).blockOn(function* main() {
      const sleeper = yield* spawn(function* () {
        const beforeNs = driver.now();
        yield* sleep(1);
        return driver.now() - beforeNs;
      });
      const letter = yield* receive(driver, source);
      return { letter, hasSlept: (yield* join(sleeper)) >= 1e6 };
    });
    expect(value).toEqual({ letter: "by post", hasSlept: true });
  });

  test("has no system, so that an operation on the network says what is missing", async () => {
    const { connect } = await import("../../src/io/tcp.ts");
    const running = new Executor(new MailboxDriver()).run(function* caller() {
      yield* connect({ host: "127.0.0.1", port: 9 });
    });
    await expect(running).rejects.toThrow("task caller (#1) needs the network");
  });
});
