/**
 * Error numbers by their names, as results have them: negated, the same that Node.js has in `error.errno`.
 *
 * Facts. They are the system's own numbers. Windows has no single set of them, so there the library returns those of
 * libuv, which Node.js has there as well. `os.constants.errno` has numbers of the C runtime there, which no call returns;
 * `util.getSystemErrorMap` has the right ones everywhere, but `node:util` takes some milliseconds to load.
 *
 * Decision. What the package itself decides on is looked up here, without `node:util`; all names together are a matter
 * of errors (`status.ts`).
 */

import { constants } from "node:os";

/** The numbers of libuv (`uv/errno.h`) for what the package decides on. */
const WINDOWS = {
  EAFNOSUPPORT: -4089,
  EAGAIN: -4088,
  EBADF: -4083,
  EINTR: -4072,
  EINVAL: -4071,
  EIO: -4070,
  ENODEV: -4059,
  ENOENT: -4058,
  ENOSPC: -4055,
  ENOSYS: -4054,
  ENOTDIR: -4052,
  EPIPE: -4047,
  ESRCH: -4040,
  ETIMEDOUT: -4039,
  EPERM: -4048,
  /** libuv has none; this is the C runtime's. */
  EINPROGRESS: -112,
} as const;

export type ErrorName = keyof typeof WINDOWS;

/** The negated number of an error on this platform. */
export function errorNumber(name: ErrorName, platform: NodeJS.Platform = process.platform): number {
  return platform === "win32" ? WINDOWS[name] : -constants.errno[name];
}
