/** A program of `tasks/`, run as a child process with its output in pipes. */

import { fileURLToPath } from "node:url";
import { withoutNoise } from "../support/noise.ts";
import { patient } from "../support/patience.ts";

export interface ProgramEnd {
  readonly exitCode: number | null;
  /** What it printed after the lines that were read. */
  readonly stdout: string;
  /** What it printed on the standard error after the lines that were read. */
  readonly stderr: string;
}

export class Program implements AsyncDisposable {
  private readonly child: Bun.Subprocess<"ignore" | "pipe", "pipe", "pipe">;
  private readonly stdout: Lines;
  private readonly stderr: Lines;

  private constructor(file: string, args: readonly string[], stdin: "ignore" | "pipe" = "ignore") {
    this.child = Bun.spawn(
      [process.execPath, fileURLToPath(new URL(`../../tasks/${file}`, import.meta.url)), ...args],
      {
        env: { ...process.env, FORCE_COLOR: undefined },
        stdin,
        stdout: "pipe",
        stderr: "pipe",
        timeout: SAFETY_LIMIT_MS,
        killSignal: "SIGKILL",
      },
    );
    this.stdout = new Lines(this.child.stdout);
    this.stderr = new Lines(this.child.stderr);
  }

  static start(file: string, ...args: string[]): Program {
    return new Program(file, args);
  }

  /** Starts it with a standard input to `write` to. */
  static startWithInput(file: string, ...args: string[]): Program {
    return new Program(file, args, "pipe");
  }

  write(text: string): void {
    this.input.write(text);
    this.input.flush();
  }

  endInput(): void {
    this.input.end();
  }

  /** The next line that it prints. */
  line(): Promise<string> {
    return this.stdout.next();
  }

  /** The next line that it prints on the standard error. */
  complaint(): Promise<string> {
    return this.stderr.next();
  }

  /** The port in its next line. */
  async port(): Promise<number> {
    const line = await this.line();
    const port = /^listening on \S+:(\d+)/.exec(line)?.[1];
    if (port === undefined) throw new Error(`expected "listening on HOST:PORT", but got "${line}"`);
    return Number(port);
  }

  /** The most memory that it has had so far (proc(5), VmHWM). */
  async largestResidentBytes(): Promise<number> {
    const status = await Bun.file(`/proc/${this.child.pid}/status`).text();
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits for it to end by itself, and all that have its output open: the processes that it started. */
  async end(): Promise<ProgramEnd> {
    const [stdout, stderr] = await Promise.all([this.stdout.rest(), this.stderr.rest(), this.child.exited]);
    return { exitCode: this.child.exitCode, stdout, stderr };
  }

  private get input(): Bun.FileSink {
    const { stdin } = this.child;
    if (stdin === undefined) throw new Error("the program was started without a standard input");
    return stdin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}

/** Runs a program to its end. */
export async function runToEnd(file: string, ...args: string[]): Promise<ProgramEnd> {
  await using program = Program.start(file, ...args);
  return await program.end();
}

class Lines {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.chunks = stream[Symbol.asyncIterator]();
  }

  async next(): Promise<string> {
    for (;;) {
      const end = this.text.indexOf("\n");
      if (end !== -1) {
        const line = this.text.slice(0, end);
        this.text = this.text.slice(end + 1);
        if (withoutNoise(`${line}\n`) === "") continue;
        return line;
      }
      if (!(await this.fetch())) throw new Error(`the program ended instead of printing a line: "${this.text}"`);
    }
  }

  async rest(): Promise<string> {
    while (await this.fetch());
    return withoutNoise(this.text);
  }

  private async fetch(): Promise<boolean> {
    const chunk = await this.chunks.next();
    if (chunk.done !== true) this.text += this.decoder.decode(chunk.value, { stream: true });
    return chunk.done !== true;
  }
}

/** Far more than any of the programs takes: it only keeps a program that hangs from hanging the tests. */
const SAFETY_LIMIT_MS = patient(60_000);
