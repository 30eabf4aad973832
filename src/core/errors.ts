/**
 * The errors of this package. Expected ones are classes that a program can catch and act on; impossible ones are
 * `InternalError`s thrown by `invariant`, which mean that the package itself is wrong.
 */

/** A task was cancelled before it could return a value. Thrown to whoever joins it, never inside the task itself. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";

  constructor(
    /** The name of the task that was cancelled. */
    readonly taskName: string,
    /** What was passed to `cancel`, if anything. */
    readonly reason: unknown,
  ) {
    super(`${taskName} was cancelled${describeReason(reason)}`, { cause: reason });
  }
}

/** The time of a `timeout` or a `deadline` was up. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
  readonly code = "ERR_TIMEOUT";

  constructor(
    /** The name of the task whose time was up. */
    readonly taskName: string,
    /** When the time was up, in milliseconds on the executor's clock. */
    readonly deadlineMs: number,
    /** What the task waited for at that moment, in words; empty if it was about to go on. */
    readonly waitedFor: string,
  ) {
    super(`${taskName} ran out of time${waitedFor === "" ? "" : ` while it waited for ${waitedFor}`}`);
  }
}

/** A cancelled task's clean-up waited for longer than its grace period. */
export class CleanupTimeoutError extends Error {
  override readonly name = "CleanupTimeoutError";
  readonly code = "ERR_CLEANUP_TIMEOUT";

  constructor(
    /** The name of the task that cleaned up. */
    readonly taskName: string,
    /** The grace period, in milliseconds. */
    readonly cleanupMs: number,
    /** What the clean-up waited for, in words. */
    readonly waitedFor: string,
  ) {
    super(
      `${taskName} was cancelled, and its clean-up still waited for ${waitedFor} after ${cleanupMs} ms: ` +
        "make it shorter, or give it more time with cleanupMs",
    );
  }
}

/** A task nested more calls, or more `yield*`, than the stack can hold. */
export class NestingError extends RangeError {
  override readonly name = "NestingError";
}

/** A task yielded something that is no request, mostly because `yield*` lacks its star. */
export class InvalidYieldError extends TypeError {
  override readonly name = "InvalidYieldError";
}

/** An operation that can be used once was used again. */
export class OperationReusedError extends TypeError {
  override readonly name = "OperationReusedError";

  constructor(operationName: string) {
    super(`this ${operationName} operation was used already: call ${operationName} again for each yield*`);
  }
}

/** Two tasks wait for the same direction of the same source. */
export class BusyError extends Error {
  override readonly name = "BusyError";
}

/** An operation on something that was closed, or that is closed while the operation waits. */
export class ClosedError extends Error {
  override readonly name = "ClosedError";
  readonly code = "ERR_CLOSED";
}

/** The stream ended before all bytes that were asked for had come. */
export class UnexpectedEndError extends Error {
  override readonly name = "UnexpectedEndError";
  readonly code = "ERR_UNEXPECTED_END";

  constructor(
    subject: string,
    /** How many bytes came; they are in the buffer. */
    readonly receivedBytes: number,
    /** How many bytes were asked for; Infinity if it was all up to a delimiter. */
    readonly wantedBytes: number,
  ) {
    super(`${subject} ended after ${receivedBytes} of ${wantedBytes} bytes`);
  }

  /** The error of a stream that ended before a delimiter. The bytes that came can still be read. */
  static before(delimiter: string, subject: string, receivedBytes: number): UnexpectedEndError {
    const error = new UnexpectedEndError(subject, receivedBytes, Infinity);
    error.message = `${subject} ended after ${receivedBytes} bytes, before ${delimiter}`;
    return error;
  }
}

/** More came than a limit allows. What came can still be read. */
export class LimitError extends Error {
  override readonly name = "LimitError";
  readonly code = "ERR_LIMIT";

  constructor(
    message: string,
    /** How many bytes, or whatever the message counts, were allowed. */
    readonly limitBytes: number,
  ) {
    super(`${message}: raise limitBytes if more is right`);
  }
}

/** A task waits for what cannot come: for itself, or for others that all wait while nothing is armed that could wake one. */
export class DeadlockError extends Error {
  override readonly name = "DeadlockError";

  constructor(
    message: string,
    /** If all tasks wait: each of them, and what it waits for. */
    readonly waits: readonly TaskWait[] = [],
  ) {
    super(message);
  }

  /** The error of a whole executor. */
  static ofAll(waits: readonly TaskWait[]): DeadlockError {
    const list = waits.map(({ taskName, waitsFor }) => `${taskName} waits for ${waitsFor}`).join("; ");
    return new DeadlockError(`every task waits, and nothing is armed that could wake one: ${list}`, waits);
  }
}

export interface TaskWait {
  readonly taskName: string;
  readonly waitsFor: string;
}

/** The platform, or the way the executor runs, has no such thing. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
  /** What the platform lacks, as `isSupported` calls it; absent if it is not the platform. */
  declare readonly feature?: string;
  /** The platform that lacks it, as `process.platform` calls it. */
  declare readonly platform?: string;

  constructor(message: string, { feature, platform, ...options }: UnsupportedErrorOptions = {}) {
    super(message, options);
    if (feature !== undefined) this.feature = feature;
    if (platform !== undefined) this.platform = platform;
  }
}

export interface UnsupportedErrorOptions extends ErrorOptions {
  readonly feature?: string | undefined;
  readonly platform?: string | undefined;
}

/** The reactor thread could not start, or its event queue failed. */
export class ReactorError extends Error {
  override readonly name = "ReactorError";
}

/** What a system call reported, in the shape of Node.js's own errors. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** The name of the errno value, such as `ECONNREFUSED`. */
  readonly code: string;
  /** The errno value, negated as in Node.js. */
  readonly errno: number;
  /** The call that failed, such as `connect`. */
  readonly syscall: string;
  /** The address that the call was about, if it was about one. */
  declare readonly address?: string;
  /** The port that the call was about, if it was about one. */
  declare readonly port?: number;
  /** The file that the call was about, if it was about one. */
  declare readonly path?: string;

  constructor(facts: SystemErrorFacts) {
    super(`${facts.syscall} ${facts.code}${describePlace(facts)}: ${facts.description}`);
    this.code = facts.code;
    this.errno = facts.errno;
    this.syscall = facts.syscall;
    if (facts.address !== undefined) this.address = facts.address;
    if (facts.port !== undefined) this.port = facts.port;
    if (facts.path !== undefined) this.path = facts.path;
  }
}

/** The error in words that say more than the system's; what is given besides takes the place of what it had. */
export function inOtherWords(
  { code, errno, syscall, address, port, path }: SystemError,
  description: string,
  others: Partial<SystemErrorFacts> = {},
): SystemError {
  return new SystemError({ code, errno, syscall, address, port, path, description, ...others });
}

export interface SystemErrorFacts {
  readonly code: string;
  readonly errno: number;
  readonly description: string;
  readonly syscall: string;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
}

/** The package itself is wrong. Nobody catches it. */
export class InternalError extends Error {
  override readonly name = "InternalError";
}

/** Ends in an `InternalError` unless `condition` holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InternalError(`${message} (this is a defect of bun-reactor: please report it)`);
}

/** One error for several: the only one as it is, more as an `AggregateError` in the order given. */
export function combineErrors(errors: readonly unknown[], message: string): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, message);
}

/** Says what an overflow of the stack means to a task, and what to do. Any other error stays as it is. */
export function explainOverflow(error: unknown, task: { readonly name: string }): unknown {
  if (!(error instanceof RangeError) || !error.message.startsWith("Maximum call stack size exceeded")) return error;
  return new NestingError(
    `${task.name} overflowed the stack: yield* goes through some thousands of generators at most, and a resume through ` +
      "all of them. Use a loop, or spawn a task where the recursion gets deep",
    { cause: error },
  );
}

/** The error for an integer argument that is out of its range. */
export function assertInteger(name: string, value: unknown, minimum: number, maximum: number): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum) return;
  throw new RangeError(`${name} must be an integer from ${minimum} to ${maximum}, but is ${describeValue(value)}`);
}

/** The error for a time that is no number, below zero or too long. The unit is for the message. */
export function assertTime(
  name: string,
  value: unknown,
  unit = "milliseconds",
  maximum = Infinity,
): asserts value is number {
  if (typeof value === "number" && value >= 0 && value <= maximum) return;
  const range = maximum === Infinity ? "0 or more" : `from 0 to ${maximum}`;
  throw new RangeError(`${name} must be a number of ${unit}, ${range}, but is ${describeValue(value)}`);
}

/** Shows a value in an error message, in a few words. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(shorten(value));
  if (typeof value === "function") return value.name === "" ? "a function" : `function ${value.name}`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Promise) return "a Promise";
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" && name !== "Object" ? `a ${name}` : "an object";
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : describeValue(error);
}

function describeReason(reason: unknown): string {
  return reason === undefined ? "" : `: ${describeError(reason)}`;
}

function describePlace(facts: SystemErrorFacts): string {
  if (facts.path !== undefined) return ` ${facts.path}`;
  if (facts.address === undefined) return "";
  const host = facts.address.includes(":") ? `[${facts.address}]` : facts.address;
  return facts.port === undefined ? ` ${host}` : ` ${host}:${facts.port}`;
}

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

/** Enough to recognise a value by, and short enough for one line. */
const SHOWN_CHARACTERS = 60;
