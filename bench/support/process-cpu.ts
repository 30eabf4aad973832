// The CPU time of another process.

import { readFileSync } from "node:fs";

/**
 * The user and system time, in microseconds, that all threads of a process have used, those that have ended included. The kernel
 * counts it in ticks of 10 ms (proc(5), /proc/PID/stat: utime, stime).
 *
 * @throws Error with code ENOENT if there is no such process.
 */
export function processCpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in brackets, may hold anything; the fields after it are counted from the third.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[UTIME - 3]) + Number(fields[STIME - 3])) * TICK_US;
}

/** The places of the fields, counted from 1 as proc(5) does. */
const UTIME = 14;
const STIME = 15;

/** USER_HZ is 100 on every Linux that Bun runs on. */
const TICK_US = 10_000;
