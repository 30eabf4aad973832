/** The addresses that datagrams came from lately: each is right, whoever was there before, and knows its words. */

import { describe, expect, test } from "bun:test";
import { AddressMemory } from "../../src/native/address.ts";
import { RecentAddresses } from "../../src/native/recent-addresses.ts";
import { thrownBy } from "../support/failure.ts";

describe("recent addresses", () => {
  const memory = new AddressMemory();
  const recent = new RecentAddresses(memory);

  function wordsOf(host: string, port: number): Uint32Array {
    memory.write({ host, port, family: host.includes(":") ? "IPv6" : "IPv4" });
    return memory.words.slice();
  }

  test("the same words give the same address, and that its words", () => {
    const words = wordsOf("192.0.2.7", 53);
    const address = recent.read(words, 0);
    expect(address).toEqual({ host: "192.0.2.7", port: 53, family: "IPv4" });
    expect(recent.read(words.slice(), 0)).toBe(address);
    expect(recent.wordsOf(address)).toEqual(words);
  });

  test("words are read where they begin, and an address keeps its own", () => {
    const words = new Uint32Array(18);
    words.set(wordsOf("2001:db8::1%3", 1000), 10);
    const address = recent.read(words, 10);
    words.fill(0);
    expect(address).toEqual({ host: "2001:db8::1%3", port: 1000, family: "IPv6" });
    expect(recent.wordsOf(address)).toEqual(wordsOf("2001:db8::1%3", 1000));
  });

  test("addresses that differ in one part alone are told apart", () => {
    const places: [string, number][] = [
      ["192.0.2.7", 53],
      ["192.0.2.7", 54],
      ["192.0.2.8", 53],
      ["2001:db8::1", 53],
      ["2001:db8:0:1::1", 53],
      ["2001:db8::1%2", 53],
      ["::ffff:192.0.2.7", 53],
    ];
    for (const [host, port] of [...places, ...places]) {
      expect(recent.read(wordsOf(host, port), 0)).toMatchObject({ host, port });
    }
  });

  test("far more addresses than there are places are all right, and old ones too", () => {
    for (const round of [1, 2]) {
      for (let index = 0; index < 5000; index++) {
        const host = `10.${index >> 8}.${index & 0xff}.${round}`;
        expect(recent.read(wordsOf(host, 1 + index), 0)).toEqual({ host, port: 1 + index, family: "IPv4" });
      }
    }
  });

  test("an address cannot be changed, because others hold it too", () => {
    const address = recent.read(wordsOf("192.0.2.7", 53), 0) as { port: number };
    expect(thrownBy(() => (address.port = 1))).toBeInstanceOf(TypeError);
  });

  test("an address of somebody else has no words", () => {
    expect(recent.wordsOf({ host: "192.0.2.7", port: 53 })).toBeUndefined();
  });
});
