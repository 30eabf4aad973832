// One contender doing one job, in a process of its own, so that no library runs on code that was compiled for another.

import type { Subprocess } from "bun";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

/** What is compared: a library's way to do something. */
export interface Contender {
  /** What the tables call it. */
  readonly name: string;
  /** A file of bench/contenders, without its extension. */
  readonly library: "bun-reactor" | "async-await" | "effect" | "effection";
  /** One of the jobs in it. */
  readonly job: string;
}

export class ContenderProcess implements AsyncDisposable {
  readonly #contender: Contender;
  readonly #process: Subprocess<"pipe", "pipe", "pipe">;
  readonly #answers: LineReader;

  constructor(contender: Contender) {
    const program = `${import.meta.dirname}/../contenders/index.ts`;
    this.#contender = contender;
    this.#process = Bun.spawn([process.execPath, program, "--library", contender.library, "--job", contender.job], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    endWithThisProcess(this.#process);
    this.#answers = new LineReader(this.#process.stdout);
  }

  /**
   * Has the contender do its job `count` times, and returns what it measured.
   *
   * @throws Error with what it said on stderr if it ends instead.
   */
  async run<Measurement>(count: number): Promise<Measurement> {
    this.#process.stdin.write(`${count}\n`);
    const answer = await this.#answers.next();
    if (answer !== undefined) return JSON.parse(answer) as Measurement;
    const complaint = (await new Response(this.#process.stderr).text()).trim();
    throw new Error(`${this.#contender.name} could not do its job: ${complaint || "it ended without a word"}`);
  }

  /** Ends the process, which ends by itself when nobody has another count for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stdin.end();
    await this.#process.exited;
  }
}
