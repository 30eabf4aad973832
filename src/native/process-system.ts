/**
 * `ProcessSystem` where processes have groups: what starts them is `Bun.spawn`, what looks at them is the Zig library.
 *
 * Facts. Only Linux has descriptors of processes (pidfd_open(2)), and tells in /proc who is in a group; ps(1) tells it
 * everywhere (POSIX), and is a program to run.
 *
 * Decision. Elsewhere the end of a child is what Bun tells, and members of its group are asked for only while there are any.
 */

import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import type { ExitStatus, ProcessOrder, ProcessSystem, StartedProcess } from "../core/process-system.ts";
import { resultOf } from "./file-system.ts";
import type { NativeFunctions } from "./library.ts";
import { absentCall, has, type Platform } from "./platform.ts";
import { Child } from "./spawn-child.ts";
import { windowsProcesses } from "./windows-processes.ts";

export function processSystem(functions: NativeFunctions, platform: Platform): ProcessSystem {
  if (platform === "win32") return windowsProcesses();
  const system = processesInGroups(functions);
  return has("processesInBlockOn", platform) ? system : withoutDescriptors(system, platform);
}

function processesInGroups(functions: NativeFunctions): ProcessSystem {
  return {
    pipesHaveReadiness: true,
    openPipe: () => Promise.reject(new Error("pipes are descriptors here")),
    hasDescriptors: true,
    refuseBlocking: () => {},
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

function withoutDescriptors(system: ProcessSystem, platform: Platform): ProcessSystem {
  const absent = absentCall("processesInBlockOn", platform);
  return {
    ...system,
    hasDescriptors: false,
    refuseBlocking: absent,
    open: absent,
    peekStatus: absent,
    membersOf: membersByPs,
  };
}

/** The leader of a session and a group: setsid(2) in the child. */
function start(order: ProcessOrder): StartedProcess {
  return new Child(order, { detached: true });
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

/** For those that are not Linux: as the program tells that is there to be asked (POSIX). */
export function membersByPs(groupId: number): number[] {
  const { stdout } = Bun.spawnSync(["ps", "-A", "-o", "pid=", "-o", "pgid=", "-o", "state="], { stderr: "ignore" });
  return stdout
    .toString()
    .split("\n")
    .flatMap((line) => {
      const [processId, group, state = ""] = line.trim().split(/\s+/);
      return Number(group) === groupId && !state.startsWith("Z") ? [Number(processId)] : [];
    });
}

/** Of a signal that has two names, such as SIGABRT and SIGIOT, the first one, which is what Bun says as well. */
const SIGNAL_NAMES: ReadonlyMap<number, NodeJS.Signals> = new Map(
  Object.entries(constants.signals)
    .map(([name, number]) => [number, name as NodeJS.Signals] as const)
    .toReversed(),
);

/** `ended_by_signal` in `zig/src/process.zig`. */
const ENDED_BY_SIGNAL = 256;
