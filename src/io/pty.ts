/**
 * Pseudo-terminals (pty(7)): a terminal without a device. What is written at its controlling end, the program at the
 * other end reads as if it had been typed; what that program prints, the controlling end reads.
 */

import { systemToOpen } from "../core/current-system.ts";
import { ClosedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { System } from "../core/system.ts";
import { assertWindowSize, Terminal } from "./terminal.ts";

export interface PtyOptions {
  /** By default 80. */
  readonly columns?: number | undefined;
  /** By default 24. */
  readonly rows?: number | undefined;
  /**
   * Whether bytes go through as they are; by default not: the terminal echoes, edits lines and knows Ctrl-C, as programs
   * expect it. See `Terminal.rawMode`.
   */
  readonly raw?: boolean | undefined;
}

/**
 * Opens a pseudo-terminal.
 *
 *     using pty = yield* openPty({ columns: 120, rows: 40 });
 *     using end = yield* pty.openDescriptor();
 *     const { descriptor } = end;
 *     const child = Bun.spawn(["setsid", "--ctty", "--wait", "bash"], { stdio: [descriptor, descriptor, descriptor] });
 *     end.close();
 *     yield* pty.controller.write("ls\n");
 *
 * Until its other end is opened for the first time a read of the controller waits. When that end is closed by all who have
 * it, the controller is at its end, after what was printed; and it goes on if somebody opens the terminal again, who gets
 * what was written meanwhile: some KiB, then a write fails with `EIO`.
 * @throws RangeError for a size that is none; SystemError such as `EMFILE`, `ENOSPC` if there are as many terminals as the
 *   system allows (pty(7))
 */
export function* openPty({ columns = 80, rows = 24, raw = false }: PtyOptions = {}): Operation<Pty> {
  const size = { columns, rows };
  assertWindowSize("openPty", size);
  const system = yield* systemToOpen();
  const descriptor = system.terminals.openController();
  if (descriptor < 0) throw system.errorOf(descriptor, "open", { path: "/dev/ptmx" });
  const path = system.terminals.pathOf(descriptor);
  if (typeof path === "number") {
    system.close(descriptor);
    throw system.errorOf(path, "ptsname");
  }
  const pty = new Pty(system, descriptor, path);
  try {
    pty.controller.setWindowSize(size);
    if (raw) pty.controller.rawMode();
  } catch (error) {
    pty.close();
    throw error;
  }
  return pty;
}

/** A pseudo-terminal; disposing of it closes the controlling end, which hangs up the other one. */
export class Pty implements Disposable {
  /** The end of whoever plays the person and the screen. */
  readonly controller: Terminal;

  /** For `openPty`. */
  constructor(
    private readonly system: System,
    controller: number,
    /** Where the other end is found, such as `/dev/pts/3`. */
    readonly path: string,
  ) {
    this.controller = new Terminal(system, controller, path, "the controlling end of", NOBODY_HAS_IT);
  }

  /**
   * Opens the other end as a stream, for a program that is a task of this process. Not for a child: it does not block.
   * @throws SystemError such as `EMFILE`; ClosedError after `close`
   */
  *openTerminal(): Operation<Terminal> {
    yield* systemToOpen();
    return new Terminal(this.system, this.openPeer("openTerminal"), this.path, "the terminal", CONTROLLER_IS_GONE);
  }

  /**
   * Opens the other end for a child: a descriptor that blocks, as programs expect it. Close it as soon as the child has
   * it, or the controller never finds the end.
   * @throws SystemError such as `EMFILE`; ClosedError after `close`
   */
  *openDescriptor(): Operation<TerminalDescriptor> {
    yield* systemToOpen();
    const descriptor = this.openPeer("openDescriptor");
    const end = new TerminalDescriptor(this.system, descriptor);
    const result = this.system.files.setNonBlocking(descriptor, false);
    if (result >= 0) return end;
    end.close();
    throw this.system.errorOf(result, "fcntl", { path: this.path });
  }

  /** Closes the controlling end. Programs at the other end get a SIGHUP, and find the end. Does nothing the second time. */
  close(): void {
    this.controller.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private openPeer(caller: string): number {
    const { controller } = this;
    if (controller.isClosed) throw new ClosedError(`${controller.label}: ${caller} after close()`);
    const descriptor = this.system.terminals.openPeer(controller.descriptor);
    if (descriptor < 0) throw this.system.errorOf(descriptor, "open", { path: this.path });
    return descriptor;
  }
}

/** The other end of a pseudo-terminal, to give to a child. */
export class TerminalDescriptor implements Disposable {
  private hasClosed = false;

  /** For `Pty.openDescriptor`. */
  constructor(
    private readonly system: System,
    readonly descriptor: number,
  ) {}

  get isClosed(): boolean {
    return this.hasClosed;
  }

  /** Does nothing the second time. */
  close(): void {
    if (this.hasClosed) return;
    this.hasClosed = true;
    this.system.close(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const NOBODY_HAS_IT = "nobody has the terminal open any more";
const CONTROLLER_IS_GONE = "the terminal was hung up: its controlling end is closed";
