/** Running a program to its end, and taking what it writes. */

import { assertInteger, SystemError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { ExitStatus } from "../core/process-system.ts";
import { scope } from "../core/scope-region.ts";
import { join, spawn } from "../core/task-operations.ts";
import { type ByteWriter, DEFAULT_LIMIT_BYTES, type ReadLimit } from "./byte-stream.ts";
import { LARGEST_BUFFER_BYTES } from "./buffered-reader.ts";
import { toBytes } from "./bytes.ts";
import { type ProcessOptions, startProcess } from "./process.ts";

export interface RunProcessOptions extends ReadLimit, Pick<ProcessOptions, "cwd" | "env" | "graceMs"> {
  /** What the program finds at its standard input (a string as UTF-8); by default nothing. */
  readonly input?: Uint8Array | string | undefined;
}

/** How a program has ended, and what it has written. */
export interface ProcessResult extends ExitStatus {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/**
 * Runs a program to its end, and takes what it writes to its standard output and its standard error. It ends as
 * `startProcess` says if the task is cancelled, or if its time is up: `timeout(5_000, () => runProcess(…))`.
 *
 * A program that fails is no error: look at `exitCode`, which is 0 of one that does not. One that does not read all of
 * its input is none either.
 * @throws LimitError if there are more than `limitBytes` (1 MiB, if nothing else is said) of one of the two; the
 *   program is ended then. And what `startProcess` throws
 */
export function* runProcess(command: readonly string[], options: RunProcessOptions = {}): Operation<ProcessResult> {
  const { input, limitBytes = DEFAULT_LIMIT_BYTES, cwd, env, graceMs } = options;
  assertInteger("runProcess: limitBytes", limitBytes, 0, LARGEST_BUFFER_BYTES);
  const bytes = input === undefined ? null : toBytes("runProcess: input", input);
  return yield* scope(function* runToEnd() {
    const stdin = bytes === null ? "ignore" : "pipe";
    const child = yield* startProcess(command, { stdin, stdout: "pipe", stderr: "pipe", cwd, env, graceMs });
    if (bytes !== null) yield* spawn(() => feed(child.stdin, bytes), { daemon: true });
    const errors = yield* spawn(() => child.stderr.readToEnd({ limitBytes }));
    const stdout = yield* child.stdout.readToEnd({ limitBytes });
    const stderr = yield* join(errors);
    const { exitCode, signal } = yield* child.wait();
    return { exitCode, signal, stdout, stderr };
  });
}

/** Writes all and ends. The program may have seen enough before. */
function* feed(stdin: ByteWriter, bytes: Uint8Array): Operation<void> {
  try {
    yield* stdin.write(bytes);
    yield* stdin.shutdown();
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EPIPE") throw error;
  }
}
