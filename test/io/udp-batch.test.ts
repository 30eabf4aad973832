/**
 * Datagrams in batches: what comes and goes in one call, what an answer needs, and what happens when one of them fails.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  bindUdp,
  BusyError,
  ClosedError,
  DatagramBatch,
  DatagramError,
  join,
  run,
  spawn,
  SystemError,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, NO_IPV6, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { thrownBy } from "../support/failure.ts";
import { receiveText, withUdpPair } from "../support/udp.ts";
import { gap, testUnless } from "../support/platform.ts";

const HERE = "127.0.0.1";

describe.each(WAYS)("batches of datagrams under %s", (_name, way) => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("what came goes back as it is, to whom it came from", async () => {
    await way(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using first = yield* bindUdp({ host: HERE });
      using second = yield* bindUdp({ host: HERE });
      yield* first.send("one", server.address);
      yield* second.send("two", server.address);
      yield* first.send("three", server.address);
      const batch = server.createBatch();
      const count = yield* server.receiveBatch(batch);
      expect(count).toBe(3);
      expect([0, 1, 2].map((slot) => textOf(batch, slot))).toEqual(["one", "two", "three"]);
      expect([0, 1, 2].map((slot) => batch.addressOf(slot))).toEqual([first.address, second.address, first.address]);
      yield* server.sendBatch(batch, count);
      expect(yield* receiveText(first)).toBe("one");
      expect(yield* receiveText(first)).toBe("three");
      expect(yield* receiveText(second)).toBe("two");
    });
  });

  test("a receive waits for the first datagram, and not for a full batch", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = server.createBatch({ slots: 8 });
      const receiving = yield* spawn(server.receiveBatch(batch));
      yield* yieldNow();
      expect(receiving.state).toBe("suspended");
      yield* client.send("x");
      expect(yield* join(receiving)).toBe(1);
      const again = yield* spawn(server.receiveBatch(batch));
      yield* yieldNow();
      expect(again.state).toBe("suspended");
      yield* client.send("y");
      expect(yield* join(again)).toBe(1);
    });
  });

  test("takes no more than the batch has slots, or than it was told", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = server.createBatch({ slots: 4 });
      for (const text of "abcdefg") yield* client.send(text);
      expect(yield* server.receiveBatch(batch, 2)).toBe(2);
      expect([textOf(batch, 0), textOf(batch, 1)]).toEqual(["a", "b"]);
      expect(yield* server.receiveBatch(batch)).toBe(4);
      expect(textOf(batch, 3)).toBe("f");
      expect(yield* server.receiveBatch(batch)).toBe(1);
      expect(textOf(batch, 0)).toBe("g");
    });
  });

  test("goes on when the queue was emptied with a full batch, and something comes later", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = server.createBatch({ slots: 2 });
      for (let round = 0; round < 3; round++) {
        yield* client.send("a");
        yield* client.send("b");
        expect(yield* server.receiveBatch(batch)).toBe(2);
      }
      const receiving = yield* spawn(server.receiveBatch(batch));
      yield* yieldNow();
      yield* client.send("c");
      expect(yield* join(receiving)).toBe(1);
    });
  });

  test("an empty datagram, a whole one and a truncated one, each says what it is", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = server.createBatch({ slots: 3, slotBytes: 10 });
      yield* client.send("");
      yield* client.send(patternOf(10));
      yield* client.send(patternOf(25));
      expect(yield* server.receiveBatch(batch)).toBe(3);
      expect([0, 1, 2].map((slot) => batch.lengthOf(slot))).toEqual([0, 10, 10]);
      expect([0, 1, 2].map((slot) => batch.wholeLengthOf(slot))).toEqual([0, 10, 25]);
      expect([0, 1, 2].map((slot) => batch.isTruncated(slot))).toEqual([false, false, true]);
      expect(batch.data(2)).toEqual(patternOf(10));
      // What came truncated goes back as long as it came.
      yield* server.sendBatch(batch, 3);
      const back = client.createBatch();
      expect(yield* client.receiveBatch(back)).toBe(3);
      expect([0, 1, 2].map((slot) => back.lengthOf(slot))).toEqual([0, 10, 10]);
    });
  });

  test("answers in place, answers to some, and datagrams of one's own", async () => {
    await way(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using client = yield* bindUdp({ host: HERE });
      using other = yield* bindUdp({ host: HERE });
      for (const text of ["1", "skip", "2"]) yield* client.send(text, server.address);
      const requests = server.createBatch({ slots: 4, slotBytes: 16 });
      const answers = server.createBatch({ slots: 4, slotBytes: 16 });
      const count = yield* server.receiveBatch(requests);
      let answered = 0;
      for (let slot = 0; slot < count; slot++) {
        if (textOf(requests, slot) === "skip") continue;
        answers.bytes.set([0x21, requests.bytes[slot * requests.slotBytes]!], answered * answers.slotBytes);
        answers.setLength(answered, 2);
        answers.copyAddress(answered, requests, slot);
        answered++;
      }
      answers.set(answered++, "to another", other.address);
      answers.set(answered++, new Uint8Array(0), { host: HERE, port: other.address.port });
      yield* server.sendBatch(answers, answered);
      expect([yield* receiveText(client), yield* receiveText(client)]).toEqual(["!1", "!2"]);
      expect([yield* receiveText(other), yield* receiveText(other)]).toEqual(["to another", ""]);
    });
  });

  testUnless(gap({ wine: "wine 8 says EINVAL of a datagram to nobody" }))(
    "without an address a datagram goes to the peer of a connected socket",
    async () => {
      await withUdpPair(way, function* ({ server, client }) {
        const batch = client.createBatch({ slots: 2 });
        batch.set(0, "a");
        batch.set(1, "b");
        expect(batch.addressOf(0)).toBeNull();
        yield* client.sendBatch(batch);
        expect([yield* receiveText(server), yield* receiveText(server)]).toEqual(["a", "b"]);
        const error = yield* errorOf(server.sendBatch(batch));
        expect(error).toBeInstanceOf(DatagramError);
        expect(error).toMatchObject({ code: "EDESTADDRREQ", slot: 0 });
        expect(error.message).toContain("is not connected");
      });
    },
  );

  test("the datagram that fails is named, those before it went, and the rest can be sent behind it", async () => {
    await way(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using client = yield* bindUdp({ host: HERE });
      const batch = client.createBatch({ slots: 5, slotBytes: 65_535 });
      batch.set(0, "a", server.address);
      batch.set(1, "b", server.address);
      batch.set(2, new Uint8Array(65_510), server.address);
      batch.set(3, "c", { host: "::1", port: 9 });
      batch.set(4, "d", server.address);
      const tooLong = yield* errorOf(client.sendBatch(batch));
      expect(tooLong).toBeInstanceOf(DatagramError);
      expect(tooLong).toBeInstanceOf(SystemError);
      expect(tooLong).toMatchObject({ code: "EMSGSIZE", slot: 2, port: server.address.port });
      expect(tooLong.message).toContain("the datagram in slot 2 was not sent: A datagram of 65510 bytes is too long");
      const wrong = yield* errorOf(client.sendBatch(batch, 5, 3));
      expect(wrong).toMatchObject({ code: "EAFNOSUPPORT", slot: 3, address: "::1" });
      yield* client.sendBatch(batch, 5, 4);
      expect([yield* receiveText(server), yield* receiveText(server), yield* receiveText(server)]).toEqual([
        "a",
        "b",
        "d",
      ]);
    });
  });

  testUnless(gap({ wine: "wine 8 does not tell that nobody is there" }))(
    "that nobody is there is an error of the next batch either way, and the socket goes on",
    async () => {
      await withUdpPair(way, function* ({ server, client }) {
        const { port } = server.address;
        server.close();
        const batch = client.createBatch({ slots: 2 });
        batch.set(0, "a");
        batch.set(1, "b");
        yield* client.sendBatch(batch, 1);
        const error = yield* errorOf(client.sendBatch(batch));
        expect(error).toBeInstanceOf(DatagramError);
        expect(error).toMatchObject({ code: "ECONNREFUSED", slot: 0, address: HERE, port });
        expect(error.message).toContain("the datagram in slot 0 was not sent: send ECONNREFUSED: connection refused");
        // Within a batch the system forgets such an error, and goes on; the last datagram brings it again.
        yield* client.sendBatch(batch);
        expect(yield* errorOf(client.receiveBatch(batch))).toMatchObject({ code: "ECONNREFUSED" });
        using again = yield* bindUdp({ host: HERE, port });
        yield* client.sendBatch(batch, 1);
        expect(yield* receiveText(again)).toBe("a");
        const receiving = yield* spawn(client.receiveBatch(batch));
        yield* yieldNow();
        expect(receiving.state).toBe("suspended");
        yield* again.send("c", client.address);
        expect(yield* join(receiving)).toBe(1);
      });
    },
  );

  test("a cancelled receive takes nothing", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = server.createBatch();
      const receiving = yield* spawn(server.receiveBatch(batch));
      yield* yieldNow();
      yield* client.send("a");
      receiving.cancel();
      yield* client.send("b");
      yield* yieldNow();
      expect(receiving.state).toBe("cancelled");
      expect(yield* server.receiveBatch(batch)).toBe(2);
    });
  });

  test("one task at a time, and none after close", async () => {
    await withUdpPair(way, function* ({ server }) {
      const batch = server.createBatch();
      const receiving = yield* spawn(errorOf(server.receiveBatch(batch)));
      yield* yieldNow();
      expect(yield* errorOf(server.receiveBatch(batch))).toBeInstanceOf(BusyError);
      server.close();
      expect(yield* join(receiving)).toBeInstanceOf(ClosedError);
    });
  });

  test("a task that always finds a batch lets others run", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const batch = client.createBatch({ slots: 64 });
      for (let slot = 0; slot < 64; slot++) batch.set(slot, "x");
      let turns = 0;
      const other = yield* spawn(function* () {
        for (;;) {
          turns++;
          yield* yieldNow();
        }
      });
      for (let round = 0; round < 20; round++) {
        yield* client.sendBatch(batch);
        expect(yield* server.receiveBatch(batch)).toBe(64);
        yield* server.sendBatch(batch);
        expect(yield* client.receiveBatch(batch)).toBe(64);
        for (let slot = 0; slot < 64; slot++) batch.set(slot, "x");
      }
      other.cancel();
      // 80 operations alone would not have used up the budget once.
      expect(turns).toBeGreaterThan(5);
    });
  });

  testUnless(NO_IPV6)("one batch for both families, and for sockets of either", async () => {
    await way(function* main() {
      using both = yield* bindUdp();
      using four = yield* bindUdp({ host: HERE });
      using six = yield* bindUdp({ host: "::1" });
      const batch = both.createBatch({ slots: 4 });
      batch.set(0, "to four", four.address);
      batch.set(1, "to six", six.address);
      yield* both.sendBatch(batch, 2);
      expect(yield* four.receiveBatch(batch)).toBe(1);
      expect(textOf(batch, 0)).toBe("to four");
      yield* four.sendBatch(batch, 1);
      expect(yield* six.receiveBatch(batch)).toBe(1);
      yield* six.sendBatch(batch, 1);
      expect([yield* receiveText(both), yield* receiveText(both)]).toEqual(["to four", "to six"]);
    });
  });
});

describe("a batch", () => {
  test("is as large as it was made, from 1 to 256 slots", async () => {
    await run(function* main() {
      using socket = yield* bindUdp({ host: HERE });
      const usual = socket.createBatch();
      expect([usual.slots, usual.slotBytes, usual.bytes.byteLength]).toEqual([64, 2048, 64 * 2048]);
      const large = socket.createBatch({ slots: 256, slotBytes: 65_535 });
      expect(large.bytes.byteLength).toBe(256 * 65_535);
      for (const slots of [0, 257, 1.5, NaN]) {
        expect(() => socket.createBatch({ slots })).toThrow("createBatch: slots must be an integer from 1 to 256");
      }
      for (const slotBytes of [0, 65_536]) {
        expect(() => socket.createBatch({ slotBytes })).toThrow("createBatch: slotBytes must be an integer");
      }
    });
  });

  test("refuses what is no slot, no length, no address and no batch, and names the argument", async () => {
    await run(function* main() {
      using socket = yield* bindUdp({ host: HERE });
      const batch = socket.createBatch({ slots: 2, slotBytes: 4 });
      const wrong = (value: unknown): never => value as never;
      const messages: [() => unknown, string][] = [
        [() => batch.lengthOf(2), "lengthOf: slot must be an integer from 0 to 1"],
        [() => batch.isTruncated(-1), "isTruncated: slot must be an integer from 0 to 1"],
        [() => batch.data(0.5), "data: slot must be an integer"],
        [() => batch.addressOf(9), "addressOf: slot"],
        [() => batch.set(2, "x"), "set: slot"],
        [() => batch.set(0, wrong(5)), "set: data must be a Uint8Array or a string"],
        [() => batch.set(0, "12345"), "set: data are 5 bytes, and a slot of this batch has 4"],
        [() => batch.set(0, "x", { host: HERE, port: 0 }), "set: port must be an integer from 1 to 65535"],
        [() => batch.set(0, "x", { host: "localhost", port: 9 }), "set: host must be an address"],
        [() => batch.set(0, "x", wrong("127.0.0.1:9")), "set goes to { host, port }"],
        [() => batch.setLength(0, 5), "setLength: length must be an integer from 0 to 4"],
        [() => batch.copyAddress(0, batch, 2), "copyAddress: slot"],
        [() => socket.receiveBatch(wrong(undefined)), "receiveBatch: batch must be what createBatch() has made"],
        [() => socket.sendBatch(wrong({})), "sendBatch: batch must be what createBatch() has made"],
        [() => socket.receiveBatch(batch, 3), "receiveBatch: most must be an integer from 1 to 2"],
        [() => socket.receiveBatch(batch, 0), "receiveBatch: most must be an integer from 1 to 2"],
        [() => socket.sendBatch(batch, 3), "sendBatch: end must be an integer from 0 to 2"],
        [() => socket.sendBatch(batch, 1, 2), "sendBatch: start must be an integer from 0 to 1"],
      ];
      for (const [act, message] of messages) expect(thrownBy(act).message).toContain(message);
      // Nothing of what was refused was written.
      expect([batch.lengthOf(0), batch.addressOf(0)]).toEqual([0, null]);
    });
  });
});

function textOf(batch: DatagramBatch, slot: number): string {
  return new TextDecoder().decode(batch.data(slot));
}
