/** A program of its own: written to a temporary folder, run as a child process, listened to line by line. */

import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withoutNoise } from "./noise.ts";
import { patient } from "./patience.ts";
import { removeFolder } from "./temporary.ts";

/** How a child process ended. */
export interface ScriptEnd {
  readonly exitCode: number | null;
  /** The name of the signal that killed it, if one did. */
  readonly signal: Bun.Subprocess["signalCode"];
  readonly stderr: string;
}

export interface ScriptOptions {
  /** What runs the file, which is put behind it; by default this Bun. */
  readonly command?: readonly string[];
  readonly fileName?: string;
  /** More files of the folder, by name. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly arguments?: readonly string[];
}

/**
 * Source that every script may begin with: the package's names, and the hand-shake for a parked reactor.
 * @param entry the package's module, as an address
 */
export const preludeFor = (entry: string): string => `
import * as reactor from ${JSON.stringify(entry)};
import { countReactorThreads, whenParked, whenParkedAlone } from ${JSON.stringify(modulePath("./parked.ts"))};
const { blockOn, connect, listen, run, shutdown, sleep, spawn, promise } = reactor;
// A Worker that starts waits in an event queue of Bun's as well, and opens what it needs later; until it is up, the
// executor's thread polls.
const threadIsUp = () => globalThis[Symbol.for("bun-reactor.runtime")]?.reactor.thread?.isUp === true;
const whenUp = (then) => threadIsUp() ? whenParked(then) : setImmediate(whenUp, then);
`;

/** The same with the sources of this checkout. */
export const PRELUDE = preludeFor(modulePath("../../src/index.ts"));

export class Script implements AsyncDisposable {
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  private readonly lines: AsyncIterator<string>;
  private readonly stderr: Promise<string>;

  private constructor(
    private readonly folder: string,
    private readonly path: string,
    options: ScriptOptions,
  ) {
    this.child = Bun.spawn([...(options.command ?? [process.execPath]), path, ...(options.arguments ?? [])], {
      cwd: folder,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...options.env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.lines = linesOf(this.child.stdout);
    this.stderr = this.child.stderr.text().then(withoutNoise);
  }

  static start(source: string, options: ScriptOptions = {}): Script {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-"));
    const path = join(folder, options.fileName ?? "main.ts");
    for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
    writeFileSync(path, source);
    return new Script(folder, path, options);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** The next line that the program prints. */
  async line(): Promise<string> {
    const next = await this.withinLimit(this.lines.next(), "print a line");
    if (next.done === true) throw new Error(`the program ended instead of printing a line: ${await this.stderr}`);
    return next.value;
  }

  /** Reads lines up to one that begins with `start`; returns what follows that. */
  async lineAfter(start: string): Promise<string> {
    for (;;) {
      const line = await this.line();
      if (line.startsWith(start)) return line.slice(start.length).trim();
    }
  }

  /** Reads lines up to the one that is `expected`; returns those before it. */
  async linesBefore(expected: string): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === expected) return lines;
      lines.push(line);
    }
  }

  /** Writes to the program's standard input. */
  send(text: string): void {
    this.child.stdin.write(text);
    void this.child.stdin.flush();
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Replaces the program's file, in one step: who watches it never sees half of it. */
  rewrite(source: string): void {
    const next = `${this.path}.next`;
    writeFileSync(next, source);
    renameSync(next, this.path);
  }

  /** Waits for the program to end by itself. */
  async end(): Promise<ScriptEnd> {
    await this.withinLimit(this.child.exited, "end");
    const { exitCode, signalCode: signal } = this.child;
    return { exitCode, signal, stderr: await this.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    removeFolder(this.folder);
  }

  private async withinLimit<T>(awaited: Promise<T>, what: string): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(resolve, SAFETY_LIMIT_MS, "late");
    const first = await Promise.race([awaited, promise]);
    clearTimeout(timer);
    if (first !== "late") return first as T;
    this.child.kill("SIGKILL");
    throw new Error(`the program did not ${what} within ${SAFETY_LIMIT_MS} ms: ${await this.stderr}`);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** Far more than any of the programs takes: it only keeps a program that hangs from hanging the tests. */
const SAFETY_LIMIT_MS = patient(20_000);

/** The path of a module, to import it from anywhere; with slashes, which Windows takes as well. */
function modulePath(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url)).replaceAll("\\", "/");
}
