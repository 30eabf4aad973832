// Is this machine free to measure on?

import { readFileSync } from "node:fs";

/** Above this, other programs visibly change what a bench measures. */
const BUSY_FRACTION = 0.05;
const LOOK_MS = 300;

/** Looks for 0.3 s how busy the processors are while the bench does nothing, and says so when they are not idle. */
export async function warnIfBusy(): Promise<void> {
  const before = processorTicks();
  await Bun.sleep(LOOK_MS);
  const after = processorTicks();
  const busy = 1 - (after.idle - before.idle) / Math.max(1, after.total - before.total);
  if (busy > BUSY_FRACTION) {
    console.log(`Other programs use ${Math.round(100 * busy)} % of the processors: take the figures with care.`);
  }
}

/** Since the start of the machine; idle includes waiting for a disk (proc(5), /proc/stat). */
function processorTicks(): { idle: number; total: number } {
  const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.split(/\s+/).slice(1, 9).map(Number) ?? [];
  return { idle: (fields[3] ?? 0) + (fields[4] ?? 0), total: fields.reduce((sum, ticks) => sum + ticks, 0) };
}
