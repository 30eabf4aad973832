/** The functions of libpq as they are, and its memory. */

import { CString, dlopen, type FFIFunction, type Library, type Pointer, toArrayBuffer } from "bun:ffi";

const FUNCTIONS = {
  PQconninfoParse: { args: ["ptr", "ptr"], returns: "ptr" },
  PQconninfoFree: { args: ["ptr"], returns: "void" },
  PQconnectStart: { args: ["ptr"], returns: "ptr" },
  PQconnectPoll: { args: ["ptr"], returns: "i32" },
  PQstatus: { args: ["ptr"], returns: "i32" },
  PQsocket: { args: ["ptr"], returns: "i32" },
  PQerrorMessage: { args: ["ptr"], returns: "ptr" },
  PQsetnonblocking: { args: ["ptr", "i32"], returns: "i32" },
  PQfinish: { args: ["ptr"], returns: "void" },
  PQsendQueryParams: { args: ["ptr", "ptr", "i32", "ptr", "ptr", "ptr", "ptr", "i32"], returns: "i32" },
  PQflush: { args: ["ptr"], returns: "i32" },
  PQconsumeInput: { args: ["ptr"], returns: "i32" },
  PQisBusy: { args: ["ptr"], returns: "i32" },
  PQgetResult: { args: ["ptr"], returns: "ptr" },
  PQclear: { args: ["ptr"], returns: "void" },
  PQresultStatus: { args: ["ptr"], returns: "i32" },
  PQresultErrorField: { args: ["ptr", "i32"], returns: "ptr" },
  PQntuples: { args: ["ptr"], returns: "i32" },
  PQnfields: { args: ["ptr"], returns: "i32" },
  PQfname: { args: ["ptr", "i32"], returns: "ptr" },
  PQgetvalue: { args: ["ptr", "i32", "i32"], returns: "ptr" },
  PQgetisnull: { args: ["ptr", "i32", "i32"], returns: "i32" },
  PQcmdTuples: { args: ["ptr"], returns: "ptr" },
  PQnotifies: { args: ["ptr"], returns: "ptr" },
  PQfreemem: { args: ["ptr"], returns: "void" },
  PQputCopyData: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQputCopyEnd: { args: ["ptr", "ptr"], returns: "i32" },
  PQgetCopyData: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQgetCancel: { args: ["ptr"], returns: "ptr" },
  PQcancel: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  PQfreeCancel: { args: ["ptr"], returns: "void" },
} as const satisfies Record<string, FFIFunction>;

let library: Library<typeof FUNCTIONS> | undefined;

/** The library's functions; it is loaded with the first call. */
export function pq(): Library<typeof FUNCTIONS>["symbols"] {
  library ??= load();
  return library.symbols;
}

function load(): Library<typeof FUNCTIONS> {
  try {
    return dlopen(process.platform === "darwin" ? "libpq.dylib" : "libpq.so.5", FUNCTIONS);
  } catch (error) {
    if (error instanceof Error) error.message += " (is it installed? On Debian: apt install libpq5)";
    throw error;
  }
}

/** An address of memory that is libpq's. */
export type Place = Pointer | bigint;

/** The bytes of memory that libpq has allocated, which is freed. */
export function takeMemory(place: Place, bytes: number): Uint8Array {
  const copy = new Uint8Array(toArrayBuffer(Number(place) as Pointer, 0, bytes)).slice();
  pq().PQfreemem(place);
  return copy;
}

export function text(place: Place | null): string {
  return place === null ? "" : new CString(Number(place) as Pointer).toString();
}

/** Held by the caller for as long as the library may look at it, which is the call. */
export function cString(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}
