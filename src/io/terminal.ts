/** Terminals: raw mode and window size, of streams on them and of descriptors such as the standard input. */

import { currentSystem, systemToOpen } from "../core/current-system.ts";
import { assertInteger, inOtherWords, type SystemError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { System } from "../core/system.ts";
import type { TerminalMode, WindowSize } from "../core/terminal-system.ts";
import { assertDescriptor } from "./fd.ts";
import { TerminalStream } from "./terminal-stream.ts";

/**
 * Whether a descriptor is a terminal (isatty(3)): a pipe and a file are none.
 * @throws RangeError if `descriptor` is none
 */
export function* isTerminal(descriptor: number): Operation<boolean> {
  assertDescriptor("isTerminal", descriptor);
  const { terminals } = yield* currentSystem();
  return typeof terminals.getMode(descriptor) !== "number";
}

/**
 * Makes a terminal raw, such as the standard input: each key comes as it is pressed, unseen, Ctrl-C included
 * (cfmakeraw(3)). What was set before is set again when the result is disposed of.
 *
 *     using _raw = yield* rawMode(0);
 *
 * @throws RangeError if `descriptor` is none; SystemError `ENOTTY` if it is no terminal, `EBADF`
 */
export function* rawMode(descriptor: number): Operation<Disposable> {
  assertDescriptor("rawMode", descriptor);
  const system = yield* systemToOpen();
  return makeRaw(system, descriptor, `descriptor ${descriptor}`);
}

/**
 * How much the terminal shows that a descriptor is. It changes with a SIGWINCH, for which `signal` waits.
 * @throws RangeError if `descriptor` is none; SystemError `ENOTTY` if it is no terminal, `EBADF`
 */
export function* windowSize(descriptor: number): Operation<WindowSize> {
  assertDescriptor("windowSize", descriptor);
  const system = yield* currentSystem();
  const size = system.terminals.windowSize(descriptor);
  if (typeof size !== "number") return size;
  throw explainNoTerminal(system, system.errorOf(size, "ioctl"), descriptor, `descriptor ${descriptor}`);
}

/** One end of a pseudo-terminal, or a terminal that was opened by its path. */
export class Terminal extends TerminalStream {
  /** For `openPty`. */
  constructor(
    system: System,
    descriptor: number,
    path: string,
    private readonly name: string,
    protected override readonly hangUpWords: string,
  ) {
    super(system, descriptor, path);
  }

  /** Words for messages, such as `the terminal /dev/pts/3`. */
  get label(): string {
    return `${this.name} ${this.path}`;
  }

  /**
   * How much the terminal shows, which is the same seen from both ends.
   * @throws SystemError; ClosedError after `close`
   */
  get windowSize(): WindowSize {
    this.refuseClosed("windowSize");
    const size = this.system.terminals.windowSize(this.descriptor);
    if (typeof size === "number") throw this.errorOf(size, "ioctl");
    return size;
  }

  /**
   * Says how much the terminal shows; the programs in its foreground get a SIGWINCH if that is new (ioctl_tty(2)).
   * @throws RangeError for a size that is none; SystemError; ClosedError after `close`
   */
  setWindowSize(size: WindowSize): void {
    assertWindowSize("setWindowSize", size);
    this.refuseClosed("setWindowSize");
    this.check(this.system.terminals.setWindowSize(this.descriptor, size), "ioctl");
  }

  /**
   * Makes the terminal raw, for both ends: bytes go through it as they are, unechoed, and at once (cfmakeraw(3)). What was
   * set before is set again when the result is disposed of.
   * @throws SystemError; ClosedError after `close`
   */
  rawMode(): Disposable {
    this.refuseClosed("rawMode");
    return makeRaw(this.system, this.descriptor, this.label, this);
  }
}

/** @throws RangeError */
export function assertWindowSize(caller: string, size: WindowSize): void {
  const { columns, rows, widthPixels = 0, heightPixels = 0 } = size;
  for (const [name, value] of Object.entries({ columns, rows, widthPixels, heightPixels }))
    assertInteger(`${caller}: ${name}`, value, 0, LARGEST_WINDOW);
}

/** What a call on something that is no terminal means, few people would guess from "inappropriate ioctl for device". */
export function explainNoTerminal(system: System, error: SystemError, descriptor: number, name: string): SystemError {
  if (error.code !== "ENOTTY") return error;
  const kind = system.files.kindOf(descriptor);
  return inOtherWords(
    error,
    `${name} is ${typeof kind === "number" ? "something else" : `a ${kind}`}, and no terminal`,
  );
}

function makeRaw(system: System, descriptor: number, name: string, stream?: Terminal): Disposable {
  const { terminals } = system;
  const before = terminals.getMode(descriptor);
  if (typeof before === "number")
    throw explainNoTerminal(system, system.errorOf(before, "tcgetattr"), descriptor, name);
  const result = terminals.setMode(descriptor, terminals.rawMode(before));
  if (result < 0) throw system.errorOf(result, "tcsetattr");
  return new RawMode(system, descriptor, before, stream);
}

class RawMode implements Disposable {
  private isOver = false;

  constructor(
    private readonly system: System,
    private readonly descriptor: number,
    private readonly before: TerminalMode,
    private readonly stream: Terminal | undefined,
  ) {}

  [Symbol.dispose](): void {
    // The number of a stream that was closed meanwhile may be another's. If the terminal is gone, nothing is to be put back.
    if (this.isOver || this.stream?.isClosed === true) return;
    this.isOver = true;
    this.system.terminals.setMode(this.descriptor, this.before);
  }
}

/** `struct winsize` has 16 bits for each. */
const LARGEST_WINDOW = 65_535;
