import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SocketAddress } from "../../src/core/system.ts";
import { AddressMemory, parseAddress } from "../../src/native/address.ts";
import { effort } from "../support/effort.ts";

const ports = fc.integer({ min: 0, max: 65_535 });
const places = fc.oneof(
  fc.record({ host: fc.ipV4(), family: fc.constant("IPv4" as const) }),
  fc.record({ host: fc.ipV6(), family: fc.constant("IPv6" as const) }),
);

describe("an address", () => {
  test("comes out of the library's memory as it went in, in its usual form", () => {
    const memory = new AddressMemory();
    fc.assert(
      fc.property(places, ports, ({ host, family }, port) => {
        const place = parseAddress(host);
        expect(place?.family).toBe(family);
        const address: SocketAddress = { ...place!, port };
        memory.write(address);
        expect(memory.read()).toEqual(address);
      }),
      { numRuns: effort(500) },
    );
  });

  test("keeps its zone", () => {
    const memory = new AddressMemory();
    memory.write({ host: "fe80::1%3", port: 7, family: "IPv6" });
    expect(memory.read()).toEqual({ host: "fe80::1%3", port: 7, family: "IPv6" });
    memory.write({ host: "::1", port: 7, family: "IPv6" });
    expect(memory.read().host).toBe("::1");
  });

  test.each([
    ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["::ffff:7f00:1", "::ffff:127.0.0.1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0::1.2.3.4", "::102:304"],
    ["127.0.0.1", "127.0.0.1"],
    ["fe80::1%2", "fe80::1%2"],
  ])("%s is written %s", (text, usual) => {
    expect(parseAddress(text)?.host).toBe(usual);
  });

  test.each([
    "localhost",
    "",
    "127.0.0",
    "127.0.0.256",
    "::g",
    "1.2.3.4%1",
    "fe80::1%eth0",
    "[::1]",
    "1:2:3:4:5:6:7:8:9",
  ])("is not what %p is", (text) => {
    expect(parseAddress(text)).toBeNull();
  });
});
