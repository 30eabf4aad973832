// One contender doing one job, in a process of its own, so that no library runs on code that was compiled for another.

import type { Subprocess } from "bun";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

/** What is compared: a library's way to do something. */
export interface Contender {
  /** What the tables call it. */
  readonly name: string;
  /** A folder of bench/contenders. */
  readonly library: "bun-reactor" | "async-await" | "effect" | "effection";
  /** One of the jobs in the bench's file there. */
  readonly job: string;
}

export class ContenderProcess implements AsyncDisposable {
  readonly #contender: Contender;
  readonly #process: Subprocess<"pipe", "pipe", "pipe">;
  readonly #answers: LineReader;
  /** What it says on stderr. Read from the beginning: warnings that nobody reads would fill the pipe and stop it. */
  readonly #complaint: Promise<string>;

  constructor(bench: string, contender: Contender) {
    const { library, job } = contender;
    const program = `${import.meta.dirname}/../contenders/index.ts`;
    const command = [process.execPath, program, "--library", library, "--bench", bench, "--job", job];
    this.#contender = contender;
    this.#process = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    endWithThisProcess(this.#process);
    this.#answers = new LineReader(this.#process.stdout);
    this.#complaint = new Response(this.#process.stderr).text();
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
    const complaint = (await this.#complaint).trim();
    throw new Error(`${this.#contender.name} could not do its job: ${complaint || "it ended without a word"}`);
  }

  /** Ends the process, which ends by itself when nobody has another count for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stdin.end();
    await this.#process.exited;
  }
}
