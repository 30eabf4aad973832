/** Where a message bus is (D-Bus Specification, "Server Addresses"). */

import type { UnixName } from "../../src/index.ts";
import { DBusProtocolError } from "./values.ts";

/** The bus of the user's session, as the environment has it. */
export function sessionBusAddress(): string {
  const address = process.env["DBUS_SESSION_BUS_ADDRESS"];
  if (address !== undefined && address !== "") return address;
  throw new DBusProtocolError(
    "there is no session bus, as DBUS_SESSION_BUS_ADDRESS is not set: give an address, or use dbus-run-session(1)",
  );
}

/**
 * The sockets of an address such as `unix:path=/run/dbus/system_bus_socket`, in the order to try them.
 * @throws DBusProtocolError if none is a unix socket
 */
export function socketsOf(address: string): readonly UnixName[] {
  const names = address.split(";").flatMap((one): readonly UnixName[] => {
    const values = new Map<string, string>();
    if (one.startsWith("unix:")) {
      for (const pair of one.slice("unix:".length).split(",")) {
        const [key, value = ""] = pair.split("=", 2);
        values.set(key!, unescape(value));
      }
    }
    const [path, abstract] = [values.get("path"), values.get("abstract")];
    if (path !== undefined) return [{ path }];
    return abstract === undefined ? [] : [{ abstract }];
  });
  if (names.length > 0) return names;
  throw new DBusProtocolError(`the address "${address}" has no unix:path= and no unix:abstract=`);
}

/** Other bytes than letters, digits and some signs are written as `%` and two hexadecimal digits. */
function unescape(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch (error) {
    throw new DBusProtocolError(`"${value}" is no value of an address`, { cause: error });
  }
}
