/** A listening unix socket. */

import { systemToOpen } from "../core/current-system.ts";
import { assertInteger } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { CallSubject, System } from "../core/system.ts";
import { UnixKind } from "../core/unix-system.ts";
import { DEFAULT_BACKLOG, Listener, LONGEST_BACKLOG } from "./listener.ts";
import { assertBinding, type Binding, bindUnix, type SocketFile, type UnixFileOptions } from "./unix-file.ts";
import { nameIn, showUnixName, type UnixName } from "./unix-name.ts";
import { UnixStream } from "./unix-stream.ts";

/** The name to listen at, and how. */
export type ListenUnixOptions = UnixName &
  UnixFileOptions & {
    /** How many connections may wait to be accepted; by default 511. The system has a limit of its own (listen(2)). */
    readonly backlog?: number | undefined;
  };

/**
 * Opens a listening socket. The file of a path is removed when the listener is closed.
 *
 *     using listener = yield* listenUnix({ path: "/run/server.sock", mode: 0o660, replaceStale: true });
 *     using other = yield* listenUnix({ abstract: "server" });
 *
 * @throws TypeError, RangeError for a name, a mode or a backlog that is none; SystemError such as `EADDRINUSE`, which says
 *   who has the name, `EACCES`, `ENOENT` if there is no such folder
 */
export function* listenUnix(options: ListenUnixOptions): Operation<UnixListener> {
  const binding: Binding = { caller: "listenUnix", syscall: "listen", options };
  assertBinding(binding);
  const { backlog = DEFAULT_BACKLOG } = options;
  assertInteger("listenUnix: backlog", backlog, 1, LONGEST_BACKLOG);
  const system = yield* systemToOpen();
  const name = nameIn(options);
  const descriptor = system.unix.create(UnixKind.STREAM);
  if (descriptor < 0) throw system.errorOf(descriptor, "socket", { path: showUnixName(name) });
  let file: SocketFile | null = null;
  try {
    file = bindUnix(system, descriptor, binding);
    const result = system.listen(descriptor, backlog);
    if (result < 0) throw system.errorOf(result, "listen", { path: showUnixName(name) });
    return new UnixListener(system, descriptor, name, file);
  } catch (error) {
    file?.remove();
    system.close(descriptor);
    throw error;
  }
}

export class UnixListener extends Listener<UnixStream> {
  /** For `listenUnix`. */
  constructor(
    system: System,
    descriptor: number,
    /** What clients connect to. */
    readonly name: UnixName,
    private readonly file: SocketFile | null,
  ) {
    super(system, descriptor);
  }

  /** Words for messages. */
  get label(): string {
    return `listener ${showUnixName(this.name)}`;
  }

  /**
   * Stops listening, and removes the file of a path if it is still the one that this listener has made. Connections that
   * were accepted stay. A task that accepts gets a `ClosedError`. Does nothing the second time.
   */
  override close(): void {
    if (!this.isClosed) this.file?.remove();
    super.close();
  }

  protected override get place(): CallSubject {
    return { path: showUnixName(this.name) };
  }

  protected override toStream(descriptor: number): UnixStream {
    return new UnixStream(this.system, descriptor, this.name);
  }
}
