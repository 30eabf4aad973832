/** What the operating system allows this process. */

import { spawnSync } from "node:child_process";

export interface DescriptorLimit {
  /** How many descriptors the process may have open. */
  readonly soft: Limit;
  /** What it may raise that to. */
  readonly hard: Limit;
}

export type Limit = number | "unlimited";

/** `ulimit -n`; null where there is no such limit (Windows), or nobody who tells it. A child has the same as we. */
export function descriptorLimit(): DescriptorLimit | null {
  if (process.platform === "win32") return null;
  const { status, stdout } = spawnSync("/bin/sh", ["-c", "ulimit -Sn; ulimit -Hn"], { encoding: "utf8" });
  if (status !== 0) return null;
  const [soft = "", hard = ""] = stdout.split("\n");
  return { soft: toLimit(soft), hard: toLimit(hard) };
}

function toLimit(text: string): Limit {
  return text === "unlimited" ? text : Number(text);
}
