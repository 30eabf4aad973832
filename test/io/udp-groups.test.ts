/**
 * Multicast and broadcast, which a sandbox may lack: then a test is skipped, and says why. And the settings of UDP
 * sockets.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { bindUdp, blockOn, type Operation, run, SystemError, type UdpSocket } from "../../src/index.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, HAS_IPV6, NO_IPV6, openReactor, WAYS } from "../support/loopback.ts";
import { receiveText, receiveWhole } from "../support/udp.ts";
import { gap, testUnless } from "../support/platform.ts";
import { NEEDS_IPV4_GROUPS_OF_IPV6, firstOf } from "../support/needs.ts";

const HERE = "127.0.0.1";
const GROUP = "239.77.12.5";
/** Of the interface alone (RFC 4291, section 2.7): it is not sent anywhere. */
const IPV6_GROUP = "ff01::4d:c05";

const IPV4_INTERFACES = interfacesFor("0.0.0.0", GROUP);
const IPV6_INTERFACES = HAS_IPV6 ? interfacesFor("::", IPV6_GROUP) : [];
const CAN_BROADCAST = canBroadcast();

describe.each(WAYS)("groups under %s", (_name, way) => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  describe.each([
    ["IPv4", "0.0.0.0", GROUP, IPV4_INTERFACES],
    ["IPv6", "::", IPV6_GROUP, IPV6_INTERFACES],
  ] as const)("%s", (family, any, group, interfaces) => {
    const which = interfaces[0] ?? null;
    // The loopback interface gives back what it is given, whatever the sender wants.
    const outer = interfaces.find((name) => name !== "lo") ?? null;
    const noGroups = which === null ? `no interface here takes what is sent to ${family} groups` : null;
    const noOuter = outer === null ? `no interface here but the loopback one has ${family} groups` : null;

    testUnless(noGroups)("members get what is sent to the group, until they leave", async () => {
      await way(function* main() {
        using first = yield* bindUdp({ host: any, reuseAddress: true });
        const { port } = first.address;
        using second = yield* bindUdp({ host: any, port, reuseAddress: true });
        using sender = yield* bindUdp({ host: any });
        staysHere(sender, which!);
        first.joinGroup(group, which!);
        second.joinGroup(group, which!);
        yield* sender.send("to all", { host: group, port });
        const { from } = yield* receiveWhole(first);
        expect(from.port).toBe(sender.address.port);
        expect(yield* receiveText(second)).toBe("to all");
        second.leaveGroup(group, which!);
        first.leaveGroup(group, which!);
        yield* sender.send("to nobody", { host: group, port });
        first.joinGroup(group, which!);
        yield* sender.send("again", { host: group, port });
        expect(yield* receiveText(first)).toBe("again");
      });
    });

    testUnless(noOuter)("a sender without loopback is not heard on its own host", async () => {
      await way(function* main() {
        using member = yield* bindUdp({ host: any });
        using sender = yield* bindUdp({ host: any });
        const to = { host: group, port: member.address.port };
        staysHere(sender, outer!);
        member.joinGroup(group, outer!);
        sender.multicastLoopback(false);
        yield* sender.send("unheard", to);
        sender.multicastLoopback();
        yield* sender.send("heard", to);
        expect(yield* receiveText(member)).toBe("heard");
      });
    });

    testUnless(noGroups)("joining twice and leaving twice are errors that name the group", async () => {
      await way(function* main() {
        using socket = yield* bindUdp({ host: any });
        socket.joinGroup(group, which!);
        const twice = yield* errorOf(later(() => socket.joinGroup(group, which!)));
        expect(twice).toBeInstanceOf(SystemError);
        expect(twice).toMatchObject({ code: "EADDRINUSE", address: group });
        socket.leaveGroup(group, which!);
        const left = yield* errorOf(later(() => socket.leaveGroup(group, which!)));
        expect(left).toMatchObject({ code: "EADDRNOTAVAIL", address: group });
      });
    });
  });

  testUnless(
    firstOf(
      NO_IPV6 ?? (IPV4_INTERFACES.length === 0 ? "no interface here takes what is sent to IPv4 groups" : null),
      NEEDS_IPV4_GROUPS_OF_IPV6,
    ),
  )("a socket for both families joins groups of IPv4 as well", async () => {
    await way(function* main() {
      using member = yield* bindUdp();
      using sender = yield* bindUdp();
      staysHere(sender, IPV4_INTERFACES[0]!);
      member.joinGroup(GROUP, IPV4_INTERFACES[0]!);
      yield* sender.send("to all", { host: GROUP, port: member.address.port });
      expect(yield* receiveText(member)).toBe("to all");
    });
  });

  testUnless(gap({ win32: "lo is an interface of Linux" }))(
    "an interface may be named by its name, its number or its address",
    async () => {
      await way(function* main() {
        using socket = yield* bindUdp({ host: "0.0.0.0" });
        for (const which of ["lo", 1, HERE]) {
          socket.multicastInterface(which);
          const joined = yield* outcomeOf(() => socket.joinGroup(GROUP, which));
          if (joined === "ok") socket.leaveGroup(GROUP, "lo");
          else expect(joined).toBe("ENODEV");
        }
        socket.multicastInterface(0);
      });
    },
  );

  test("what is no group, no interface and no number of hops is refused by its name", async () => {
    await way(function* main() {
      using four = yield* bindUdp({ host: HERE });
      const wrong = (value: unknown): never => value as never;
      const messages: [() => void, string][] = [
        [() => four.joinGroup("127.0.0.1"), "joinGroup: group must be an address of a group"],
        [() => four.joinGroup("example.com"), "joinGroup: group must be an address of a group"],
        [() => four.leaveGroup(wrong(null)), "leaveGroup: group must be an address of a group"],
        [() => four.joinGroup("ff02::1"), "joinGroup: ff02::1 is a group of IPv6, which UDP socket 127.0.0.1:"],
        [() => four.joinGroup(GROUP, -1), "joinGroup: interface must be an integer"],
        [() => four.joinGroup(GROUP, wrong({})), "joinGroup: the interface must be a name, a number or an address"],
        [() => four.joinGroup(GROUP, ""), "joinGroup: the interface must be a name"],
        [() => four.joinGroup(GROUP, "none-such"), 'joinGroup: there is no interface "none-such"'],
        [() => four.joinGroup(GROUP, "l\0o"), "joinGroup: there is no interface"],
        [() => four.multicastInterface("none-such"), 'multicastInterface: there is no interface "none-such"'],
        [() => four.ttl(0), "ttl: hops must be an integer from 1 to 255"],
        [() => four.ttl(256), "ttl: hops must be an integer from 1 to 255"],
        [() => four.multicastTtl(-1), "multicastTtl: hops must be an integer from 0 to 255"],
        [() => four.resizeBuffers({ receiveBytes: 0 }), "resizeBuffers: receiveBytes must be an integer"],
        [() => four.resizeBuffers({ sendBytes: 1.5 }), "resizeBuffers: sendBytes must be an integer"],
      ];
      for (const [act, message] of messages) expect(act).toThrow(message);
    });
  });

  test("a broadcast address needs broadcast(), and the error says so", async () => {
    await way(function* main() {
      using socket = yield* bindUdp({ host: "0.0.0.0" });
      const to = { host: "127.255.255.255", port: socket.address.port };
      const error = yield* errorOf(socket.send("x", to));
      expect(error).toMatchObject({ code: "EACCES", address: to.host, port: to.port });
      expect(error.message).toContain("call broadcast() first");
    });
  });

  testUnless(CAN_BROADCAST ? null : "the loopback interface takes no broadcast here")(
    "a broadcast reaches all that are bound to the port",
    async () => {
      await way(function* main() {
        using first = yield* bindUdp({ host: "0.0.0.0", reuseAddress: true });
        const { port } = first.address;
        using second = yield* bindUdp({ host: "0.0.0.0", port, reuseAddress: true });
        using sender = yield* bindUdp({ host: HERE });
        sender.broadcast();
        yield* sender.send("to all", { host: "127.255.255.255", port });
        expect([yield* receiveText(first), yield* receiveText(second)]).toEqual(["to all", "to all"]);
        sender.broadcast(false);
        expect(yield* errorOf(sender.send("x", { host: "127.255.255.255", port }))).toMatchObject({ code: "EACCES" });
      });
    },
  );
});

describe("the settings of a UDP socket", () => {
  testUnless(gap({ win32: "this test knows the limits of Linux" }))(
    "buffers are as large as was asked for, or as the system allows",
    async () => {
      await run(function* main() {
        using socket = yield* bindUdp({ host: HERE });
        const before = socket.resizeBuffers();
        const after = socket.resizeBuffers({ receiveBytes: 16_384 });
        expect(after).toEqual({ receiveBytes: 32_768, sendBytes: before.sendBytes });
        expect(socket.resizeBuffers({ sendBytes: 20_000 })).toEqual({ receiveBytes: 32_768, sendBytes: 40_000 });
      });
    },
  );

  test("what comes while the receive buffer is full is dropped, and what comes after is received", async () => {
    await run(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using client = yield* bindUdp({ host: HERE });
      server.resizeBuffers({ receiveBytes: 4096 });
      const batch = client.createBatch({ slots: 256, slotBytes: 1000 });
      for (let slot = 0; slot < 256; slot++) batch.set(slot, new Uint8Array(1000).fill(slot), server.address);
      yield* client.sendBatch(batch);
      const arrived = server.createBatch({ slots: 256, slotBytes: 1000 });
      const count = yield* server.receiveBatch(arrived);
      expect(count).toBeLessThan(256);
      for (let slot = 0; slot < count; slot++) expect(arrived.data(slot)[0]).toBe(slot);
      yield* client.send("after", server.address);
      expect(yield* receiveText(server)).toBe("after");
    });
  });
});

/** Sends to groups on this interface only, and nothing leaves this machine. */
function staysHere(sender: UdpSocket, which: string): void {
  sender.multicastInterface(which);
  sender.multicastTtl(0);
}

/** The names of the interfaces that take what is sent to a group, the loopback one first. */
function interfacesFor(host: string, group: string): readonly string[] {
  const names = Object.keys(networkInterfaces()).sort((one, other) => Number(other === "lo") - Number(one === "lo"));
  return names.filter((name) => blockOn(() => takesGroups(name, host, group)));
}

/** What is sent over the loopback interface, or to oneself, is there when the call that sends it returns. */
function* takesGroups(name: string, host: string, group: string): Operation<boolean> {
  using socket = yield* bindUdp({ host });
  try {
    socket.joinGroup(group, name);
    staysHere(socket, name);
    yield* socket.send("x", { host: group, port: socket.address.port });
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
  const words = new Uint32Array(10);
  return nativeSystem().datagrams.receive(socket.descriptor, new Uint8Array(1), words) === 1;
}

function canBroadcast(): boolean {
  return blockOn(function* main() {
    using socket = yield* bindUdp({ host: "0.0.0.0" });
    socket.broadcast();
    try {
      yield* socket.send("x", { host: "127.255.255.255", port: socket.address.port });
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    }
    return nativeSystem().datagrams.receive(socket.descriptor, new Uint8Array(1), new Uint32Array(10)) === 1;
  });
}

function* later(act: () => void): Operation<void> {
  act();
}

function* outcomeOf(act: () => void): Operation<string> {
  try {
    act();
    return "ok";
  } catch (error) {
    return (error as SystemError).code;
  }
}
