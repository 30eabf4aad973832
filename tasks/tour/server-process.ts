/** An echo server in a process of its own, which ends when it is disposed of. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Operation, promise } from "../../src/index.ts";

export class ServerProcess implements Disposable {
  private readonly process;
  private readonly firstLine;

  /** @param script a program that prints `listening on HOST:PORT`, relative to this file */
  constructor(script: string) {
    this.process = Bun.spawn([process.execPath, fileURLToPath(new URL(script, import.meta.url))], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      // Out of the reach of Ctrl-C, which is the tour's to handle: the server ends after its clients.
      detached: true,
    });
    this.firstLine = readFirstLine(this.process.stdout);
  }

  /** Suspends the task until the server listens. Returns its port. */
  *port(): Operation<number> {
    const line = yield* promise(this.firstLine);
    const port = /^listening on .*:(\d+)$/.exec(line)?.[1];
    if (port === undefined) throw new Error(`an echo server said "${line}" instead of where it listens`);
    return Number(port);
  }

  /** The CPU time that the server has used, user and system, of all its threads, in milliseconds (proc_pid_stat(5)). */
  get cpuMs(): number {
    const stat = readFileSync(`/proc/${this.process.pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may have blanks in it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) * MS_PER_TICK;
  }

  [Symbol.dispose](): void {
    this.process.kill();
  }
}

async function readFirstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return text.split("\n", 1)[0]!;
}

/** Fields 14 and 15, counted from the third one. */
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;

/** The kernel counts in hundredths of a second towards programs, whatever it uses itself (time(7)). */
const MS_PER_TICK = 10;
