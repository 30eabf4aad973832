/**
 * The reactor with an executor that has no task in sight: registrator, fetch, drain, park and close are all that it
 * needs.
 */

import { describe, expect, test } from "bun:test";
import type { DriverClient } from "../../src/core/driver.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Source } from "../../src/core/source.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { Pipe, SocketPair, writeTo, readFrom } from "../support/libc.ts";
import { untilParked } from "../support/reactors.ts";

/** An event loop of callbacks, as many programs have one: `on(descriptor, callback)`, then `run()` or `block()`. */
class CallbackLoop implements DriverClient {
  private readonly callbacks = new Map<Source, (readiness: Readiness) => void>();
  private ended: PromiseWithResolvers<void> | null = null;
  private hasFailed = false;

  constructor(private readonly reactor: Reactor) {
    reactor.attach(this);
  }

  on(descriptor: number, interest: Interest, callback: (readiness: Readiness) => void): void {
    this.callbacks.set(this.reactor.registrator().register(descriptor, interest), callback);
  }

  off(descriptor: number): void {
    for (const source of this.callbacks.keys()) {
      if (source.descriptor !== descriptor) continue;
      this.reactor.registrator().deregister(source);
      this.callbacks.delete(source);
    }
  }

  /** Works beside the host until no callback is left. */
  run(): Promise<void> {
    this.ended = Promise.withResolvers();
    this.onReady();
    return this.ended.promise;
  }

  /** Works instead of the host until no callback is left. */
  block(): void {
    while (this.callbacks.size > 0) {
      this.reactor.fetch(Infinity);
      this.dispatch();
    }
  }

  onReady(): void {
    if (this.hasFailed) return;
    do {
      this.reactor.fetch(0);
      this.dispatch();
    } while (!this.reactor.park(Infinity, this.callbacks.size > 0));
    if (this.callbacks.size === 0) this.ended?.resolve();
  }

  onFailure(error: Error): void {
    this.hasFailed = true;
    this.ended?.reject(error);
  }

  private dispatch(): void {
    this.reactor.drain((source, readiness) => {
      this.callbacks.get(source)?.(readiness);
      if (this.callbacks.has(source)) this.reactor.registrator().rearm(source, Interest.READABLE);
    });
  }
}

/** Echoes from one descriptor to another until end-of-file, in callbacks. */
function echo(loop: CallbackLoop, descriptor: number): void {
  const buffer = new Uint8Array(16);
  loop.on(descriptor, Interest.READABLE, () => {
    const count = readUnlessEmpty(descriptor, buffer);
    if (count > 0) writeTo(descriptor, buffer.subarray(0, count));
    if (count === 0) loop.off(descriptor);
  });
}

/** How many bytes came: 0 at the end, -1 if there are none yet. */
function readUnlessEmpty(descriptor: number, buffer: Uint8Array): number {
  try {
    return readFrom(descriptor, buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return -1;
    throw error;
  }
}

/** Plays the peer: sends words one after the other, each when the last one has come back, and then closes. */
function converse(loop: CallbackLoop, pair: SocketPair, words: readonly string[]): string[] {
  const heard: string[] = [];
  const buffer = new Uint8Array(16);
  const sayNext = (): void => {
    const word = words[heard.length];
    if (word !== undefined) return void writeTo(pair.right, word);
    loop.off(pair.right);
    pair.close(pair.right);
  };
  loop.on(pair.right, Interest.READABLE, () => {
    const count = readUnlessEmpty(pair.right, buffer);
    if (count <= 0) return;
    heard.push(new TextDecoder().decode(buffer.subarray(0, count)));
    sayNext();
  });
  sayNext();
  return heard;
}

describe("a reactor under an executor that was written elsewhere", () => {
  expectNothingLeftBehind();
  const words = ["one", "two", "three"];

  test("serves callbacks beside the host, waiting on its thread", async () => {
    using pair = new SocketPair();
    const reactor = new Reactor();
    const loop = new CallbackLoop(reactor);
    echo(loop, pair.left);
    const heard = converse(loop, pair, words);
    await loop.run();
    const registered = reactor.registrator().size;
    reactor.close();
    await reactor.closed;
    expect(heard).toEqual(words);
    expect(registered).toBe(0);
  });

  test("serves them on a blocked thread, without one of its own", () => {
    using pair = new SocketPair();
    using reactor = new Reactor();
    const loop = new CallbackLoop(reactor);
    echo(loop, pair.left);
    const heard = converse(loop, pair, words);
    loop.block();
    expect(heard).toEqual(words);
  });

  test("calls back from its thread's sleep when a source becomes ready", async () => {
    using pipe = new Pipe();
    const reactor = new Reactor();
    const loop = new CallbackLoop(reactor);
    const seen: Readiness[] = [];
    loop.on(pipe.readEnd, Interest.READABLE, (readiness) => {
      seen.push(readiness);
      if ((readiness & Readiness.READ_CLOSED) !== 0) loop.off(pipe.readEnd);
    });
    const running = loop.run();
    await untilParked(reactor);
    pipe.close(pipe.writeEnd);
    await running;
    reactor.close();
    await reactor.closed;
    expect(seen).toHaveLength(1);
    expect(seen[0]! & Readiness.READ_CLOSED).toBe(Readiness.READ_CLOSED);
  });

  test("tells it that it was closed", async () => {
    using pipe = new Pipe();
    const reactor = new Reactor();
    const loop = new CallbackLoop(reactor);
    loop.on(pipe.readEnd, Interest.READABLE, () => {});
    const running = loop.run();
    reactor.close();
    await expect(running).rejects.toThrow("the reactor was closed");
    await reactor.closed;
  });
});
