/** Our end of a pipe that the host moves the bytes of, with a socket of the host in the place of a child. */

import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { Readiness } from "../../src/core/interest.ts";
import { SocketPipe } from "../../src/native/host-pipe.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { errno } from "../support/errno.ts";
import { patternOf } from "../support/loopback.ts";

const WOULD_BLOCK = -errno.EAGAIN;

/** A pipe, and who is at its other end. */
class Ends implements Disposable {
  readonly told: Readiness[] = [];
  private waiting: (() => void) | null = null;

  private constructor(
    own: Socket,
    readonly other: Socket,
  ) {
    this.pipe = new SocketPipe(own, -1, (readiness) => {
      this.told.push(readiness);
      this.waiting?.();
    });
  }

  readonly pipe: SocketPipe;

  static async open(): Promise<Ends> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const { promise, resolve } = Promise.withResolvers<Socket>();
    server.once("connection", resolve);
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const other = connect({
      port: (server.address() as { port: number }).port,
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    const own = await promise;
    server.close();
    const ends = new Ends(own, other);
    opened.push(ends);
    return ends;
  }

  /** Asks until the pipe does not say "would block" any more. */
  async untilReady(act: () => number): Promise<number> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.waiting = resolve;
      const result = act();
      if (result !== WOULD_BLOCK) return result;
      await promise;
    }
  }

  async readAll(buffer = new Uint8Array(1_000)): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (;;) {
      const bytes = await this.untilReady(() => this.pipe.receive(-1, buffer, 0, buffer.byteLength));
      if (bytes <= 0) return Buffer.concat(chunks);
      chunks.push(buffer.slice(0, bytes));
    }
  }

  [Symbol.dispose](): void {
    this.pipe.close();
    this.other.destroy();
  }
}

const opened: Ends[] = [];

afterEach(() => {
  for (const ends of opened.splice(0)) ends[Symbol.dispose]();
});

describe("a pipe of the host", () => {
  test("would block while nothing has come, tells when something has, and gives it piece by piece", async () => {
    const { pipe, other, told } = await Ends.open();
    const buffer = new Uint8Array(3);
    expect(pipe.receive(-1, buffer, 0, 3)).toBe(WOULD_BLOCK);
    expect(told).toEqual([]);
    other.write("hello");
    while (told.length === 0) await hostTurn();
    expect(told).toEqual([Readiness.READABLE]);
    expect(pipe.receive(-1, buffer, 0, 3)).toBe(3);
    expect(pipe.receive(-1, buffer, 1, 2)).toBe(2);
    expect(new TextDecoder().decode(buffer)).toBe("hlo");
    expect(pipe.receive(-1, buffer, 0, 3)).toBe(WOULD_BLOCK);
  });

  test("reads no more than one chunk ahead of whoever reads", async () => {
    const ends = await Ends.open();
    const sent = patternOf(40_000_000);
    let isTaken = false;
    ends.other.write(sent, () => (isTaken = true));
    ends.other.end();
    expect(ends.pipe.receive(-1, new Uint8Array(1), 0, 1)).toBe(WOULD_BLOCK);
    while (ends.told.length === 0) await hostTurn();
    // Nobody asks for more: what the system holds between the two is far less than this.
    for (let turn = 0; turn < 100; turn++) await hostTurn();
    expect(ends.told).toEqual([Readiness.READABLE]);
    expect(isTaken).toBe(false);
    expect(Buffer.compare(await ends.readAll(new Uint8Array(65_536)), sent)).toBe(0);
  });

  test("brings what was sent to its end, and stays there", async () => {
    const ends = await Ends.open();
    const sent = patternOf(300_000);
    ends.other.end(sent);
    expect(Buffer.compare(await ends.readAll(), sent)).toBe(0);
    expect(ends.pipe.receive(-1, new Uint8Array(1), 0, 1)).toBe(0);
    expect(ends.told.at(-1)! & Readiness.READ_CLOSED).toBe(Readiness.READ_CLOSED);
  });

  test("takes one piece at a time, and tells when it has room for the next", async () => {
    const ends = await Ends.open();
    const { pipe, other, told } = ends;
    const sent = patternOf(300_000);
    const received: Uint8Array[] = [];
    const ended = new Promise<void>((resolve) =>
      other.on("data", (chunk: Uint8Array) => received.push(chunk)).on("end", resolve),
    );
    expect(pipe.send(-1, sent, 0, sent.byteLength)).toBe(65_536);
    expect(pipe.send(-1, sent, 65_536, 1)).toBe(WOULD_BLOCK);
    for (let at = 65_536; at < sent.byteLength;)
      at += await ends.untilReady(() => pipe.sendVectored(-1, [sent.subarray(at)], 0, 0));
    expect(told).toContain(Readiness.WRITABLE);
    pipe.close();
    await ended;
    expect(Buffer.compare(Buffer.concat(received), sent)).toBe(0);
  });

  test("takes a copy of what is written, whose buffer is its owner's again at once", async () => {
    const { pipe, other } = await Ends.open();
    const bytes = new TextEncoder().encode("before");
    pipe.send(-1, bytes, 0, bytes.byteLength);
    bytes.fill(0);
    const chunk = await new Promise<Uint8Array>((resolve) => other.once("data", resolve));
    expect(new TextDecoder().decode(chunk)).toBe("before");
  });

  test("delivers what was written when it is closed, and tells nothing any more", async () => {
    const { pipe, other, told } = await Ends.open();
    const received: Uint8Array[] = [];
    const ended = new Promise<void>((resolve) =>
      other.on("data", (chunk: Uint8Array) => received.push(chunk)).on("end", resolve),
    );
    pipe.send(-1, patternOf(50_000), 0, 50_000);
    pipe.close();
    const before = told.length;
    await ended;
    expect(Buffer.concat(received)).toHaveLength(50_000);
    expect(told).toHaveLength(before);
  });

  test("says of a writer whose reader is gone that the pipe is broken", async () => {
    const ends = await Ends.open();
    ends.other.resetAndDestroy();
    const bytes = new Uint8Array(65_536);
    const result = await ends.untilReady(() => {
      const sent = ends.pipe.send(-1, bytes, 0, bytes.byteLength);
      return sent > 0 ? WOULD_BLOCK : sent;
    });
    expect([-errno.EPIPE, -errno.ECONNRESET]).toContain(result);
    expect(ends.told.some((readiness) => (readiness & Readiness.WRITE_CLOSED) !== 0)).toBe(true);
  });
});
