/** `ProcessSystem`: what starts processes is `Bun.spawn`, what looks at them is the Zig library. */

import { accessSync, constants as fileConstants, readdirSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { inOtherWords } from "../core/errors.ts";
import type { ExitStatus, ProcessOrder, ProcessSystem, StartedProcess } from "../core/process-system.ts";
import { resultOf } from "./file-system.ts";
import type { NativeFunctions } from "./library.ts";
import { errorOf } from "./status.ts";

export function processSystem(functions: NativeFunctions): ProcessSystem {
  return {
    start,
    open: functions.process_open,
    peekStatus: (descriptor) => {
      const result = functions.process_peek_status(descriptor);
      return result < 0 ? result : toStatus(result);
    },
    signalGroup: functions.process_signal_group,
    signalNumber: (name) =>
      Object.hasOwn(constants.signals, name) ? constants.signals[name as NodeJS.Signals] : undefined,
    membersOf,
  };
}

/**
 * Bun restores the default of every signal in the child, and keeps no descriptor open in it but those that are passed.
 */
function start(order: ProcessOrder): StartedProcess {
  const { command, folder, environment, descriptors } = order;
  refuseMissingFolder(folder);
  try {
    return new Child(
      Bun.spawn([...command], {
        // setsid(2) in the child: it leads a session and a group.
        detached: true,
        stdio: [...descriptors],
        ...(folder === undefined ? {} : { cwd: folder }),
        ...(environment === undefined ? {} : { env: environment }),
      }),
    );
  } catch (error) {
    throw explain(error, command[0]!);
  }
}

class Child implements StartedProcess {
  constructor(private readonly child: Bun.Subprocess) {}

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
    throw inOtherWords(
      errorOf(-constants.errno.ENOTDIR, "spawn", { path: folder }),
      "what to start it in is no folder",
    );
  const access = resultOf(() => accessSync(folder, fileConstants.X_OK));
  if (access < 0)
    throw inOtherWords(errorOf(access, "spawn", { path: folder }), "you may not enter the folder to start it in");
}

function explain(error: unknown, program: string): unknown {
  const { errno } = error as NodeJS.ErrnoException;
  if (typeof errno !== "number") return error;
  const plain = errorOf(-Math.abs(errno), "spawn", { path: program });
  if (plain.code === "ENOENT") {
    const isPath = program.includes("/");
    return inOtherWords(
      plain,
      isPath ? "no such program, or its first line names one that is not there" : "no such program in PATH",
    );
  }
  return plain.code === "EACCES" ? inOtherWords(plain, "it is no program, or you may not run it") : plain;
}

function toStatus(result: number): ExitStatus {
  if (result < ENDED_BY_SIGNAL) return { exitCode: result, signal: null };
  const number = result - ENDED_BY_SIGNAL;
  return { exitCode: null, signal: SIGNAL_NAMES.get(number) ?? number };
}

/** proc(5): a process that is gone meanwhile has no file any more. */
function membersOf(groupId: number): number[] {
  const members: number[] = [];
  resultOf(() => {
    for (const name of readdirSync("/proc")) {
      const processId = Number(name);
      if (Number.isInteger(processId) && isAliveIn(groupId, processId)) members.push(processId);
    }
  });
  return members;
}

function isAliveIn(groupId: number, processId: number): boolean {
  let text = "";
  resultOf(() => void (text = readFileSync(`/proc/${processId}/stat`, "latin1")));
  // The name of the program, in brackets, may have spaces and brackets of its own.
  const [state, , group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(group) === groupId && state !== "Z" && state !== "X";
}

/** Of a signal that has two names, such as SIGABRT and SIGIOT, the first one, which is what Bun says as well. */
const SIGNAL_NAMES: ReadonlyMap<number, NodeJS.Signals> = new Map(
  Object.entries(constants.signals)
    .map(([name, number]) => [number, name as NodeJS.Signals] as const)
    .toReversed(),
);

/** `ended_by_signal` in `zig/src/process.zig`. */
const ENDED_BY_SIGNAL = 256;
