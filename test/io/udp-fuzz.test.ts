/**
 * Random datagrams between sockets of both families, one by one and in batches, with receivers that are cancelled and
 * with buffers that are too short, against a model: each socket gets what was sent to it, all of it, once, in order,
 * from whom it was. The loopback interface loses nothing that the receive buffer has room for. `SEED=n bun test
 * test/io/udp-fuzz.test.ts` repeats a run.
 */

import { expect, test } from "bun:test";
import {
  bindUdp,
  type DatagramBatch,
  type Operation,
  type SocketAddress,
  spawn,
  type UdpSocket,
  yieldNow,
} from "../../src/index.ts";
import { Random } from "../../src/testing/random.ts";
import { HAS_IPV6, leftSince, openSockets, patternOf, WAYS } from "../support/loopback.ts";
import { effort } from "../support/effort.ts";

const SOCKETS = 6;
/** Of less than 600, chance could leave hardly any of a kind. */
const STEPS = Math.max(600, effort(3000));
const SLOTS = 8;
const SLOT_BYTES = 300;
const LONGEST_BYTES = 400;
/** Far below what the smallest usual receive buffer has room for. */
const MOST_UNDER_WAY = 24;
const FAMILIES = HAS_IPV6 ? (["127.0.0.1", "::1", "::"] as const) : (["127.0.0.1"] as const);

interface Sent {
  readonly from: SocketAddress;
  readonly data: Uint8Array;
}

class Endpoint {
  /** What was sent to it and has not been received. */
  readonly expected: Sent[] = [];
  readonly batch: DatagramBatch;

  constructor(
    readonly socket: UdpSocket,
    readonly host: (typeof FAMILIES)[number],
  ) {
    this.batch = socket.createBatch({ slots: SLOTS, slotBytes: SLOT_BYTES });
  }

  /** The address under which another finds this one; null if it cannot. */
  addressFor(other: Endpoint): SocketAddress | null {
    const { port } = this.socket.address;
    if (other.host === "127.0.0.1" || this.host === "127.0.0.1") {
      return this.host === "::1" || other.host === "::1" ? null : { host: "127.0.0.1", port, family: "IPv4" };
    }
    return { host: "::1", port, family: "IPv6" };
  }

  /** The address as which it shows to another. */
  shownTo(other: Endpoint): SocketAddress {
    const address = this.addressFor(other)!;
    const isMapped = other.host === "::" && address.family === "IPv4";
    return isMapped ? { ...address, host: `::ffff:${address.host}`, family: "IPv6" } : address;
  }
}

class Fuzz {
  private key = 0;
  received = 0;
  truncated = 0;
  cancelled = 0;

  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly random: Random,
  ) {}

  *run(): Operation<void> {
    for (let step = 0; step < STEPS; step++) yield* this.step();
    for (const endpoint of this.endpoints) while (endpoint.expected.length > 0) yield* this.receiveBatch(endpoint);
  }

  private *step(): Operation<void> {
    const endpoint = this.random.pick(this.endpoints);
    const choice = this.random.below(8);
    if (choice < 2) yield* this.send(endpoint);
    else if (choice < 4) yield* this.sendBatch(endpoint);
    else if (choice === 4) yield* this.cancelReceive(endpoint);
    else if (endpoint.expected.length === 0) return;
    else if (choice === 5) yield* this.receive(endpoint);
    else yield* this.receiveBatch(endpoint);
  }

  private *send(from: Endpoint): Operation<void> {
    const to = this.random.pick(this.endpoints);
    const address = to.addressFor(from);
    if (address === null || to.expected.length >= MOST_UNDER_WAY) return;
    const data = this.newData(LONGEST_BYTES);
    to.expected.push({ from: from.shownTo(to), data });
    yield* from.socket.send(data, address);
  }

  private *sendBatch(from: Endpoint): Operation<void> {
    const { batch } = from;
    let count = 0;
    for (let slot = 0; slot < 1 + this.random.below(SLOTS); slot++) {
      const to = this.random.pick(this.endpoints);
      const address = to.addressFor(from);
      if (address === null || to.expected.length >= MOST_UNDER_WAY) continue;
      const data = this.newData(SLOT_BYTES);
      to.expected.push({ from: from.shownTo(to), data });
      batch.set(count++, data, address);
    }
    const start = 0;
    const middle = this.random.below(count + 1);
    yield* from.socket.sendBatch(batch, middle, start);
    yield* from.socket.sendBatch(batch, count, middle);
  }

  /** A receive that waits, is cancelled, and must take nothing. */
  private *cancelReceive(endpoint: Endpoint): Operation<void> {
    if (endpoint.expected.length > 0) return;
    const single = this.random.below(2) === 0;
    const waiting = yield* spawn(function* wait() {
      if (single) yield* endpoint.socket.receive(new Uint8Array(1));
      else yield* endpoint.socket.receiveBatch(endpoint.batch);
    });
    yield* yieldNow();
    const sender = this.random.pick(this.endpoints);
    const sendsFirst = this.random.below(2) === 0;
    const address = endpoint.addressFor(sender);
    if (address !== null && sendsFirst) {
      const data = this.newData(SLOT_BYTES);
      endpoint.expected.push({ from: sender.shownTo(endpoint), data });
      yield* sender.socket.send(data, address);
    }
    waiting.cancel();
    yield* yieldNow();
    expect(waiting.state).toBe("cancelled");
    this.cancelled++;
  }

  private *receive(endpoint: Endpoint): Operation<void> {
    const buffer = new Uint8Array(1 + this.random.below(LONGEST_BYTES));
    const datagram = yield* endpoint.socket.receive(buffer);
    this.check(endpoint, buffer.subarray(0, datagram.bytes), datagram.wholeBytes, datagram.from);
    expect(datagram.isTruncated).toBe(datagram.wholeBytes > buffer.byteLength);
  }

  private *receiveBatch(endpoint: Endpoint): Operation<void> {
    const { batch, socket } = endpoint;
    const most = 1 + this.random.below(SLOTS);
    const wanted = Math.min(most, endpoint.expected.length);
    const count = yield* socket.receiveBatch(batch, most);
    expect(count).toBe(wanted);
    for (let slot = 0; slot < count; slot++) {
      this.check(endpoint, batch.data(slot), batch.wholeLengthOf(slot), batch.addressOf(slot)!);
    }
  }

  private check(endpoint: Endpoint, data: Uint8Array, wholeBytes: number, from: SocketAddress): void {
    const expected = endpoint.expected.shift()!;
    expect(from).toEqual(expected.from);
    expect(wholeBytes).toBe(expected.data.byteLength);
    expect(Buffer.compare(data, expected.data.subarray(0, data.byteLength))).toBe(0);
    this.received++;
    if (data.byteLength < wholeBytes) this.truncated++;
  }

  private newData(longestBytes: number): Uint8Array {
    const length = this.random.below(10) === 0 ? 0 : this.random.below(longestBytes + 1);
    return patternOf(length, ++this.key);
  }
}

test.each(WAYS)("random datagrams arrive as they were sent, under %s", async (_name, way) => {
  const random = Random.fromEnvironment();
  const before = openSockets();
  await way(function* main() {
    using sockets = new DisposableStack();
    const endpoints: Endpoint[] = [];
    for (let index = 0; index < SOCKETS; index++) {
      const host = FAMILIES[index % FAMILIES.length]!;
      endpoints.push(new Endpoint(sockets.use(yield* bindUdp({ host })), host));
    }
    const fuzz = new Fuzz(endpoints, random);
    yield* fuzz.run();
    expect(fuzz.received).toBeGreaterThan(STEPS / 3);
    expect(fuzz.truncated).toBeGreaterThan(STEPS / 300);
    expect(fuzz.cancelled).toBeGreaterThan(STEPS / 300);
  });
  expect(leftSince(before)).toEqual([]);
});
