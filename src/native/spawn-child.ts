/** Starting a child by `Bun.spawn`, and what its errors mean. */

import { accessSync, constants, statSync } from "node:fs";
import { inOtherWords } from "../core/errors.ts";
import type { ExitStatus, ProcessOrder, StartedProcess } from "../core/process-system.ts";
import { errorNumber } from "./error-numbers.ts";
import { resultOf } from "./file-system.ts";
import { errorOf } from "./status.ts";

/** What `Bun.spawn` is told besides. */
export interface SpawnManner {
  readonly detached?: boolean;
  readonly windowsHide?: boolean;
}

/**
 * Bun restores the default of every signal in the child, and keeps no descriptor open in it but those that are passed.
 * @throws SystemError that names the program or the folder
 */
function spawnChild(order: ProcessOrder, manner: SpawnManner): Bun.Subprocess {
  const { command, folder, environment, descriptors } = order;
  refuseMissingFolder(folder);
  try {
    return Bun.spawn([...command], {
      ...manner,
      stdio: [...descriptors],
      ...(folder === undefined ? {} : { cwd: folder }),
      ...(environment === undefined ? {} : { env: environment }),
    });
  } catch (error) {
    throw explain(error, command[0]!);
  }
}

/** A child that Bun has started, and of whose end Bun tells. */
export class Child implements StartedProcess {
  protected readonly child: Bun.Subprocess;

  /** Starts it; throws what `spawnChild` does. */
  constructor(order: ProcessOrder, manner: SpawnManner) {
    this.child = spawnChild(order, manner);
  }

  get processId(): number {
    return this.child.pid;
  }

  get status(): ExitStatus | null {
    const { exitCode, signalCode } = this.child;
    if (signalCode !== null) return { exitCode: null, signal: signalCode };
    return exitCode === null ? null : { exitCode, signal: null };
  }

  get exited(): Promise<unknown> {
    return this.child.exited;
  }
}

/** Bun's error would name the program. */
function refuseMissingFolder(folder: string | undefined): void {
  if (folder === undefined) return;
  let isFolder = false;
  const result = resultOf(() => void (isFolder = statSync(folder).isDirectory()));
  if (result < 0)
    throw inOtherWords(errorOf(result, "spawn", { path: folder }), "the folder to start it in is not there");
  if (!isFolder)
    throw inOtherWords(errorOf(errorNumber("ENOTDIR"), "spawn", { path: folder }), "what to start it in is no folder");
  const access = resultOf(() => accessSync(folder, constants.X_OK));
  if (access < 0)
    throw inOtherWords(errorOf(access, "spawn", { path: folder }), "you may not enter the folder to start it in");
}

function explain(error: unknown, program: string): unknown {
  const { errno } = error as NodeJS.ErrnoException;
  if (typeof errno !== "number") return error;
  const plain = errorOf(-Math.abs(errno), "spawn", { path: program });
  if (plain.code === "ENOENT") {
    const isPath = /[/\\]/.test(program);
    return inOtherWords(
      plain,
      isPath ? "no such program, or its first line names one that is not there" : "no such program in PATH",
    );
  }
  return plain.code === "EACCES" ? inOtherWords(plain, "it is no program, or you may not run it") : plain;
}
