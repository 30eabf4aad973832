/** Functions of the C library, for tests of what the kernel does. */

import { dlopen, type FFIFunction, type Library } from "bun:ffi";

/** On Windows each of them throws. */
export function cLibrary<Functions extends Record<string, FFIFunction>>(
  functions: Functions,
): Library<Functions>["symbols"] {
  if (process.platform !== "win32") return dlopen("libc.so.6", functions).symbols;
  return new Proxy({} as Library<Functions>["symbols"], {
    get: (_none, name) => () => {
      throw new Error(`Windows has no ${String(name)}`);
    },
  });
}
