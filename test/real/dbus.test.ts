/** The message bus of D-Bus: the real daemon, our client over a unix stream, and other clients that call ours. */

import { beforeAll, expect, test } from "bun:test";
import { closeSync, fstatSync } from "node:fs";
import { join as joinPath } from "node:path";
import {
  all,
  cancel,
  fdStream,
  join,
  type Operation,
  openPipe,
  promise,
  run,
  spawn,
  SystemError,
  yieldNow,
} from "../../src/index.ts";
import { type DBus, DBusDisconnectedError, DBusError, openDBus } from "../../tasks/dbus/connection.ts";
import { type DBusMessage, MessageKind } from "../../tasks/dbus/message.ts";
import { DBusProtocolError, type Value, Variant } from "../../tasks/dbus/values.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor } from "../support/loopback.ts";
import { temporaryFolder, type TemporaryPath } from "../support/temporary.ts";
import { Program } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { RealServer, runCommand } from "./support/server.ts";

const OURS = { path: "/test", interface: "test.Interface" };

describeReal("dbus-daemon", { programs: ["dbus-daemon"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("lets us in, says hello, and knows us", () =>
    withBus(function* main(address) {
      using bus = yield* openDBus(address);
      expect(bus.name).toMatch(/^:1\.\d+$/);
      using list = yield* bus.callBus("ListNames");
      expect([...(list.body[0] as string[])].sort()).toEqual([bus.name, "org.freedesktop.DBus"].sort());
      using processId = yield* bus.callBus("GetConnectionUnixProcessID", "s", [bus.name]);
      expect(processId.body).toEqual([process.pid]);
      using userId = yield* bus.callBus("GetConnectionUnixUser", "s", [bus.name]);
      expect(userId.body).toEqual([process.getuid!()]);
    }));

  test("listens at an abstract name as well, and an address may have several", () =>
    withBus(function* main(address) {
      using bus = yield* openDBus(`unix:path=/nobody/here;tcp:host=localhost,port=1;${address}`);
      expect(bus.name).toMatch(/^:1\.\d+$/);
    }, `unix:abstract=bun-reactor-dbus-${process.pid}`));

  test("answers 500 calls of as many tasks at once, each its own", () =>
    withBus(function* main(address) {
      using bus = yield* openDBus(address);
      yield* all(
        Array.from(
          { length: 500 },
          (_, index) =>
            function* ask() {
              const name = `test.name${index}`;
              using requested = yield* bus.callBus("RequestName", "su", [name, 0]);
              expect(requested.body).toEqual([1]);
              using owner = yield* bus.callBus("GetNameOwner", "s", [name]);
              expect(owner.body).toEqual([bus.name]);
            },
        ),
      );
    }));

  test("carries values of every type from one of us to another and back", () =>
    withBus(function* main(address) {
      using server = yield* openDBus(address);
      using client = yield* openDBus(address);
      const echoing = yield* spawn(() => echoAll(server));
      const cases: readonly (readonly [string, readonly Value[]])[] = [
        ["", []],
        ["ybnqiuxtd", [255, true, -32768, 65535, -(2 ** 31), 2 ** 32 - 1, -(2n ** 63n), 2n ** 64n - 1n, -0.1]],
        ["sog", ["zażółć ☃", "/a/b", "a{sv}"]],
        ["asay", [["a", "", "bc"], new Uint8Array([1, 2, 3])]],
        ["aiaxa(ys)", [[], [], []]],
        ["y(ybx)y", [1, [2, false, 3n], 4]],
        [
          "a{sv}",
          [
            new Map<Value, Value>([
              ["one", new Variant("i", 1)],
              ["many", new Variant("as", ["x"])],
            ]),
          ],
        ],
        ["a{ua{sa(yd)}}", [new Map<Value, Value>([[7, new Map<Value, Value>([["k", [[1, 0.5]]]])]])]],
        ["v", [new Variant("v", new Variant("(sv)", ["deep", new Variant("aat", [[1n], []])]))]],
        ["s", ["x".repeat(3_000_000)]],
      ];
      for (const [signature, body] of cases) {
        using answer = yield* client.call({ ...OURS, destination: server.name, member: "Echo", signature, body });
        expect(answer.facts.signature).toBe(signature);
        expect(answer.body).toEqual(body);
      }
      yield* cancel(echoing);
    }));

  test("passes descriptors from one of us to another, which stay open, and closes those that nobody takes", () =>
    withBus(function* main(address) {
      using server = yield* openDBus(address);
      using client = yield* openDBus(address);
      const serving = yield* spawn(function* serve() {
        using call = yield* receiveCall(server);
        const [greeting, index] = call.body;
        using output = yield* fdStream(call.takeDescriptor(index!));
        yield* output.write(`${String(greeting)} through what was passed\n`);
        yield* server.reply(call);
        // Of these no one is taken.
        using second = yield* receiveCall(server);
        expect(second.facts.signature).toBe("ah");
        expect(() => call.takeDescriptor(index!)).toThrow(RangeError);
        yield* server.reply(second);
      });
      using pipe = yield* openPipe();
      const { descriptor } = pipe.writer;
      const call = { ...OURS, destination: server.name, member: "Write" };
      (yield* client.call({ ...call, signature: "sh", body: ["hello", descriptor] }))[Symbol.dispose]();
      expect(yield* pipe.reader.lines().next()).toEqual({ done: false, value: "hello through what was passed" });
      const body = [Array.from({ length: 8 }, () => descriptor)];
      (yield* client.call({ ...call, signature: "ah", body }))[Symbol.dispose]();
      pipe.writer.close();
      yield* join(serving);
      expect(yield* pipe.reader.read(new Uint8Array(1))).toBe(0);
    }));

  test("passes a descriptor back in a reply, to the one that has asked", () =>
    withBus(function* main(address) {
      using server = yield* openDBus(address);
      using client = yield* openDBus(address);
      const serving = yield* spawn(function* serve() {
        for (;;) {
          using call = yield* receiveCall(server);
          using pipe = yield* openPipe();
          yield* pipe.writer.write(`for ${String(call.body[0])}`);
          yield* server.reply(call, "h", [pipe.reader.descriptor]);
        }
      });
      yield* all(
        Array.from(
          { length: 50 },
          (_, index) =>
            function* ask() {
              const call = { ...OURS, destination: server.name, member: "Open", signature: "u", body: [index] };
              using answer = yield* client.call(call);
              using input = yield* fdStream(answer.takeDescriptor(answer.body[0]!));
              expect(new TextDecoder().decode(yield* input.readToEnd())).toBe(`for ${index}`);
            },
        ),
      );
      yield* cancel(serving);
    }));

  test("an error reply is a DBusError with its name, and the connection goes on", () =>
    withBus(function* main(address) {
      using bus = yield* openDBus(address);
      const error = yield* errorOf(bus.call({ ...OURS, destination: "nobody.here", member: "X" }));
      expect(error).toBeInstanceOf(DBusError);
      expect(error.code).toBe("org.freedesktop.DBus.Error.ServiceUnknown");
      expect(error.message).toContain("nobody.here");
      expect(yield* errorOf(bus.callBus("NoSuchMethod"))).toMatchObject({
        code: "org.freedesktop.DBus.Error.UnknownMethod",
      });
      (yield* bus.callBus("ListNames"))[Symbol.dispose]();
    }));

  test("values that do not fit their signature are refused before anything is sent", () =>
    withBus(function* main(address) {
      using bus = yield* openDBus(address);
      for (const [signature, body] of [
        ["u", [-1]],
        ["u", []],
        ["s", [1]],
        ["x", [1]],
        ["y", [256]],
        ["a", [[]]],
        ["(s", ["x"]],
        ["()", [[]]],
        ["z", [1]],
        ["v", ["x"]],
        ["as", ["x"]],
      ] as const)
        expect(yield* errorOf(bus.callBus("GetNameOwner", signature, [...body] as Value[]))).toBeInstanceOf(
          DBusProtocolError,
        );
      const closed = yield* openPipe();
      closed[Symbol.dispose]();
      const { descriptor } = closed.writer;
      const call = { ...OURS, destination: bus.name, member: "X", signature: "h", body: [descriptor] };
      const error = yield* errorOf(bus.call(call));
      expect(error).toBeInstanceOf(SystemError);
      expect(error.message).toContain(`of the descriptors to pass, ${descriptor} is not open`);
      (yield* bus.callBus("ListNames"))[Symbol.dispose]();
    }));

  test("signals come to whoever has asked for them", () =>
    withBus(function* main(address) {
      using listener = yield* openDBus(address);
      (yield* listener.callBus("AddMatch", "s", ["type='signal',interface='test.Interface'"]))[Symbol.dispose]();
      using sender = yield* openDBus(address);
      for (let index = 0; index < 600; index++)
        yield* sender.send({ kind: MessageKind.SIGNAL, ...OURS, member: "News", signature: "u", body: [index] });
      for (let index = 0; index < 600; index++) {
        using signal = yield* listener.receive();
        // The bus tells each connection of the name that it got.
        if (signal.facts.member !== "News") index--;
        else expect([signal.facts.sender, ...signal.body]).toEqual([sender.name, index]);
      }
    }));

  test("a call that is cancelled leaves the connection to the others", () =>
    withBus(function* main(address) {
      using server = yield* openDBus(address);
      using client = yield* openDBus(address);
      const call = { ...OURS, destination: server.name, member: "Never" };
      const waiting = yield* spawn(() => client.call(call));
      using received = yield* receiveCall(server);
      yield* cancel(waiting);
      yield* server.reply(received, "h", [0]);
      (yield* client.callBus("ListNames"))[Symbol.dispose]();
    }));

  test("a bus that ends ends every wait with words", async () => {
    await using daemon = await startBus();
    await run(function* main() {
      using bus = yield* openDBus(daemon.address);
      using other = yield* openDBus(daemon.address);
      const calling = yield* spawn(() => errorOf(bus.call({ ...OURS, destination: other.name, member: "Never" })));
      using _call = yield* receiveCall(other);
      (yield* bus.receive())[Symbol.dispose]();
      const receiving = yield* spawn(() => errorOf(bus.receive()));
      yield* yieldNow();
      yield* promise(daemon[Symbol.asyncDispose]());
      for (const task of [calling, receiving]) {
        const error = yield* join(task);
        expect(error).toBeInstanceOf(DBusDisconnectedError);
        expect(error.message).toStartWith("the connection to the bus has ended: ");
      }
      expect(yield* errorOf(bus.callBus("ListNames"))).toBeInstanceOf(DBusDisconnectedError);
      expect(yield* errorOf(bus.receive())).toBeInstanceOf(DBusDisconnectedError);
    });
  });

  test("a bus that is not there is refused with its path, and an address that is none as well", () =>
    run(function* main() {
      const error = yield* errorOf(openDBus("unix:path=/nobody/here"));
      expect(error).toMatchObject({ code: "ENOENT", syscall: "connect", path: "/nobody/here" });
      expect(yield* errorOf(openDBus("tcp:host=localhost,port=1"))).toBeInstanceOf(DBusProtocolError);
    }));

  test("cancelled at any of its waits, nothing is left", async () => {
    await using daemon = await startBus();
    await expectNothingLeftWhenCancelled(
      function* job() {
        using server = yield* openDBus(daemon.address);
        using client = yield* openDBus(daemon.address);
        const echoing = yield* spawn(() => echoAll(server));
        using pipe = yield* openPipe();
        const call = {
          ...OURS,
          destination: server.name,
          member: "Echo",
          signature: "h",
          body: [pipe.writer.descriptor],
        };
        using answer = yield* client.call(call);
        closeSync(answer.takeDescriptor(answer.body[0]!));
        yield* cancel(echoing);
      },
      { leastPoints: 10 },
    );
  });

  test("tasks/dbus.ts shows who is there, who comes and who goes", async () => {
    await using daemon = await startBus();
    await using program = Program.start("dbus.ts", "--address", daemon.address);
    const own = /^connected as (\S+)$/.exec(await program.line())![1]!;
    const shown = [await program.line(), await program.line()].sort();
    expect(shown[0]).toStartWith(`+ ${own} of process `);
    expect(shown[1]).toStartWith("+ org.freedesktop.DBus of process ");
    const name = await run(function* main() {
      using bus = yield* openDBus(daemon.address);
      expect(yield* promise(program.line())).toBe(`+ ${bus.name} of process ${process.pid}`);
      return bus.name;
    });
    expect(await program.line()).toBe(`- ${name}`);
    program.signal("SIGINT");
    expect((await program.end()).exitCode).toBe(130);
  });
});

describeReal("dbus-send, busctl and gdbus, which call us", { programs: ["dbus-daemon", "dbus-send"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("get their values back", () =>
    withBus(function* main(address) {
      using server = yield* openDBus(address);
      using requested = yield* server.callBus("RequestName", "su", ["test.Echo", 0]);
      expect(requested.body).toEqual([1]);
      const echoing = yield* spawn(() => echoAll(server));
      const send = ["dbus-send", `--bus=${address}`, "--dest=test.Echo", "--print-reply=literal", "/test"];
      const words = [
        "test.Interface.Echo",
        "string:zażółć",
        "int32:-5",
        "uint64:18446744073709551615",
        "array:string:a,b",
      ];
      const printed = yield* promise(runCommand([...send, ...words]));
      expect(printed.replaceAll(/\s+/g, " ").trim()).toBe("zażółć int32 -5 uint64 18446744073709551615 array [ a b ]");
      if (Bun.which("busctl") !== null) {
        const call = ["busctl", `--address=${address}`, "call", "test.Echo", "/test", "test.Interface", "Echo"];
        const values = ["a{sv}yd(ib)", "1", "key", "s", "value", "7", "0.5", "3", "true"];
        expect((yield* promise(runCommand([...call, ...values]))).trim()).toBe(
          'a{sv}yd(ib) 1 "key" s "value" 7 0.5 3 true',
        );
      }
      if (Bun.which("gdbus") !== null) {
        const call = ["gdbus", "call", "--address", address, "--dest", "test.Echo", "--object-path", "/test"];
        const output = yield* promise(runCommand([...call, "--method", "test.Interface.Echo", "@ay [1, 2, 255]"]));
        expect(output.trim()).toBe("([byte 0x01, 0x02, 0xff],)");
      }
      yield* cancel(echoing);
    }));
});

/** The next call; the bus sends signals of its own as well. */
function* receiveCall(bus: DBus): Operation<DBusMessage> {
  for (;;) {
    const message = yield* bus.receive();
    if (message.facts.kind === MessageKind.CALL) return message;
    message[Symbol.dispose]();
  }
}

/** Replies to each call with what it came with. */
function* echoAll(bus: DBus): Operation<void> {
  for (;;) {
    using call = yield* receiveCall(bus);
    const { signature } = call.facts;
    if (signature !== "h") yield* bus.reply(call, signature, call.body);
    else {
      const descriptor = call.takeDescriptor(call.body[0]!);
      try {
        expect(fstatSync(descriptor).isFIFO()).toBe(true);
        yield* bus.reply(call, signature, [descriptor]);
      } finally {
        closeSync(descriptor);
      }
    }
  }
}

function withBus(body: (address: string) => Operation<void>, listen?: string): Promise<void> {
  return (async () => {
    await using daemon = await startBus(listen);
    await run(() => body(daemon.address));
  })();
}

interface Bus extends AsyncDisposable {
  readonly address: string;
}

/** A bus of the test's own, on which everybody may do everything. */
async function startBus(listen?: string): Promise<Bus> {
  const folder: TemporaryPath = temporaryFolder();
  const address = listen ?? `unix:path=${joinPath(folder.name, "bus")}`;
  const settings = joinPath(folder.name, "bus.conf");
  await Bun.write(
    settings,
    `<busconfig>
      <type>session</type>
      <listen>${address}</listen>
      <auth>EXTERNAL</auth>
      <policy context="default">
        <allow send_destination="*" eavesdrop="true"/>
        <allow eavesdrop="true"/>
        <allow own="*"/>
      </policy>
    </busconfig>`,
  );
  const command = ["dbus-daemon", `--config-file=${settings}`, "--nofork", "--nopidfile", "--print-address"];
  const server = await RealServer.start(command, { isReady: (line) => line.startsWith("unix:") });
  return {
    address,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
