/**
 * Shows who is on a D-Bus message bus: one line for each name that is there, and for each that comes or goes afterwards.
 *
 *     bun tasks/dbus.ts
 *     bun tasks/dbus.ts --address unix:path=/run/dbus/system_bus_socket
 *
 * Without an address it takes the bus of the session. Ctrl-C ends it.
 */

import type { Operation } from "../src/index.ts";
import { sessionBusAddress } from "./dbus/address.ts";
import { type DBus, DBusError, openDBus } from "./dbus/connection.ts";
import { readArguments, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { address } = readArguments("bun tasks/dbus.ts [--address ADDRESS]", {
  address: (text) => (text === undefined ? undefined : toText(text)),
});

function* watch(): Operation<void> {
  using bus = yield* openDBus(address ?? sessionBusAddress());
  console.log(`connected as ${bus.name}`);
  // Before the list is asked for, so that nobody is missed who comes in between.
  const rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
  using _added = yield* bus.callBus("AddMatch", "s", [rule]);
  using list = yield* bus.callBus("ListNames");
  for (const name of list.body[0] as readonly string[]) yield* show(bus, name);
  for (;;) {
    using signal = yield* bus.receive();
    if (signal.facts.member !== "NameOwnerChanged") continue;
    const [name, before, now] = signal.body as readonly string[];
    if (before === "") yield* show(bus, name!);
    else if (now === "") console.log(`- ${name}`);
  }
}

/** The name, and the process that has it. It may have gone by now. */
function* show(bus: DBus, name: string): Operation<void> {
  try {
    using answer = yield* bus.callBus("GetConnectionUnixProcessID", "s", [name]);
    console.log(`+ ${name} of process ${String(answer.body[0])}`);
  } catch (error) {
    if (!(error instanceof DBusError)) throw error;
    console.log(`+ ${name}`);
  }
}

await runProgram(watch);
