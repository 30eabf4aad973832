/**
 * A descriptor that Bun knows nothing of: what a child process writes to its descriptor 3, read when there is something
 * to read.
 */

import { closeSync, readSync } from "node:fs";
import { type Operation, readable } from "../../src/index.ts";
import { count, type Row } from "./table.ts";

export function* descriptor(): Operation<Row[]> {
  const child = Bun.spawn(["sh", "-c", COUNT], { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  const descriptor = child.stdio[3];
  if (typeof descriptor !== "number") throw new Error("the child has no descriptor 3");
  try {
    const lines = (yield* readToEnd(descriptor)).trim().split("\n");
    return [{ what: "descriptor 3 of a child process", ours: `${count(lines.length)} lines` }];
  } finally {
    closeSync(descriptor);
  }
}

function* readToEnd(descriptor: number): Operation<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    yield* readable(descriptor);
    const length = readSync(descriptor, buffer);
    if (length === 0) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

const LINES = 1000;

/** In words of the shell itself, as not every machine has seq(1). */
const COUNT = `n=0; while [ $n -lt ${LINES} ]; do n=$((n + 1)); echo $n; done >&3`;
