/**
 * Giving a unix socket its name, and the file of it, if it is a path.
 *
 * Facts. bind(2) makes a file, which stays when the socket is gone; the next bind to its path then fails with EADDRINUSE,
 * whether somebody still has that socket open or not. A connect tells: a file without a socket refuses it (ECONNREFUSED),
 * but so does a stream socket on which listen(2) is yet to be called. To a *datagram* socket that wants to connect, every
 * stream socket that is open is of the wrong type (EPROTOTYPE), and none hears of it. The file gets the socket's own mode,
 * less the umask (the kernel's unix_bind_bsd). While a socket is open, so is the inode of its file, so that no other file
 * has its number. Windows has no datagram sockets of this domain: there a server that is alive accepts a connection that
 * ends at once.
 *
 * Decision. The file is removed at close, if it is still the one that was made. What a dead server has left is replaced
 * only if the caller wants that, and only if it is a socket that refuses the connect of a datagram socket, or of whatever socket there is. The permissions
 * are narrowed before the file is there and widened afterwards, so that there is no moment at which it is open to more than
 * wanted.
 */

import { assertInteger, inOtherWords } from "../core/errors.ts";
import type { System } from "../core/system.ts";
import { nameIn, showUnixName, toNameBytes, type UnixName } from "./unix-name.ts";

export interface UnixFileOptions {
  /**
   * The permissions of a path's file, such as `0o660`; by default all, less the process's umask. Whoever may write to it may
   * connect and send.
   */
  readonly mode?: number | undefined;
  /**
   * Whether the file of a socket that nobody has open any more, because its process has crashed, is replaced; by default it
   * is an `EADDRINUSE`. Two processes that do this at the same moment for the same path may both believe that they have it.
   */
  readonly replaceStale?: boolean | undefined;
}

/** What is bound, and how. */
export interface Binding {
  /** The function that the user has called, for errors about its arguments. */
  readonly caller: string;
  /** The call that errors of the system name. */
  readonly syscall: string;
  readonly options: UnixName & UnixFileOptions;
}

/** Refuses what is no name or no mode, before anything is opened. */
export function assertBinding({ caller, options }: Binding): void {
  toNameBytes(caller, options);
  const { mode } = options;
  if (mode === undefined) return;
  assertInteger(`${caller}: mode`, mode, 0, 0o777);
  if (options.path === undefined) throw new TypeError(`${caller}: an abstract name has no file, and so no mode`);
}

/**
 * Binds a socket.
 * @returns what removes its file; null if it has none
 */
export function bindUnix(system: System, descriptor: number, binding: Binding): SocketFile | null {
  const { options } = binding;
  const { path, mode } = options;
  const name = showUnixName(nameIn(options));
  const check = (result: number, call: string): void => {
    if (result < 0) throw system.errorOf(result, call, { path: name });
  };
  if (mode !== undefined) check(system.files.setMode(descriptor, mode), "fchmod");
  check(bindOrReplace(system, descriptor, binding), binding.syscall);
  if (path === undefined) return null;
  const file = new SocketFile(system, path);
  try {
    if (mode !== undefined) check(system.files.setMode(path, mode), "chmod");
  } catch (error) {
    file.remove();
    throw error;
  }
  return file;
}

/** The file of a socket. */
export class SocketFile {
  private readonly identity: string | null;

  constructor(
    private readonly system: System,
    private readonly path: string,
  ) {
    this.identity = system.files.identityOf(path);
  }

  /**
   * Removes it, unless somebody has done so or has put another file in its place. To be called before the socket is closed.
   */
  remove(): void {
    const { files } = this.system;
    if (this.identity === null || files.identityOf(this.path) !== this.identity) return;
    const result = files.unlink(this.path);
    if (result < 0)
      this.system.warn(`the socket file stays: ${this.system.errorOf(result, "unlink", { path: this.path }).message}`);
  }
}

/** Returns what bind(2) does, or throws a more telling EADDRINUSE. */
function bindOrReplace(system: System, descriptor: number, binding: Binding): number {
  const { caller, options } = binding;
  const bytes = toNameBytes(caller, options);
  const result = system.unix.bind(descriptor, bytes);
  if (result >= 0) return result;
  const error = system.errorOf(result, binding.syscall, { path: showUnixName(nameIn(options)) });
  if (error.code !== "EADDRINUSE" || options.path === undefined) return result;
  const { path } = options;
  const identity = system.files.identityOf(path);
  const found = whatIsAt(system, path, bytes);
  if (found !== STALE) throw inOtherWords(error, found, { path });
  if (options.replaceStale !== true) throw inOtherWords(error, ADVICE, { path });
  // Somebody else may have replaced it meanwhile, which shows in its identity.
  if (identity !== null && system.files.identityOf(path) === identity) {
    const removal = system.files.unlink(path);
    if (removal < 0) throw system.errorOf(removal, "unlink", { path });
  }
  return system.unix.bind(descriptor, bytes);
}

/** Words for what has the path; `STALE` for a socket that nobody has open. */
function whatIsAt(system: System, path: string, bytes: Uint8Array): string {
  const file = system.files.kindOfFile(path);
  if (file !== null && file !== "socket") {
    const what = file === "other" ? "something else, such as a symbolic link," : `a ${file}`;
    return `there is ${what} of that name: remove it, or use another path`;
  }
  const probe = system.unix.create(system.unix.probeKind);
  if (probe < 0) throw system.errorOf(probe, "socket", { path });
  const result = system.unix.connect(probe, bytes);
  system.close(probe);
  const isRefused = result < 0 && system.errorOf(result, "connect").code === "ECONNREFUSED";
  return isRefused ? STALE : "another socket has that name: close it, or use another path";
}

const STALE = "stale";
const ADVICE =
  "the file was left by a process that has ended, and nobody has that socket open: remove it, or pass replaceStale: true";
