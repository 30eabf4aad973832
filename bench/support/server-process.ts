// A server of a bench, in a process of its own: started, waited for until it listens, stopped.

import type { Subprocess } from "bun";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

/** How long a server may take to start, to answer and to end. All are hand-shakes: nothing waits this long unless it hangs. */
const ANSWER_TIMEOUT_MS = 20_000;

export interface ServerOptions {
  /** The program and its arguments. It must print `listening on HOST:PORT` as its first line, unless `announcement` says else. */
  readonly command: readonly string[];
  readonly announcement?: Announcement;
  /** The core that all of its threads are bound to. */
  readonly core?: number;
  /** Environment variables beside those of the bench. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** How a server that was not written for the benches tells that it listens. */
export interface Announcement {
  readonly output: "stdout" | "stderr";
  /** The line that tells it; the port is its group of that name, if it tells the port as well. */
  readonly line: RegExp;
  /** The port, if it was told to the server. */
  readonly port?: number;
}

export class ServerProcess implements AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  readonly #process: Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: LineReader;
  readonly #complaint: Promise<string>;

  private constructor(
    process: Subprocess<"ignore", "pipe", "pipe">,
    lines: LineReader,
    complaint: Promise<string>,
    port: number,
  ) {
    this.pid = process.pid;
    this.port = port;
    this.#process = process;
    this.#lines = lines;
    this.#complaint = complaint;
  }

  /**
   * Starts a server and waits until it listens.
   *
   * @throws Error if it ends or prints something else instead, with what it printed on stderr; or says nothing in 20 s.
   */
  static async start({ command, announcement = OWN, core, environment }: ServerOptions): Promise<ServerProcess> {
    // taskset becomes the program, so the process id is the server's.
    const pinned = core === undefined ? [...command] : ["taskset", "-c", String(core), ...command];
    const server = Bun.spawn(pinned, {
      env: { ...process.env, ...environment },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    endWithThisProcess(server);
    const lines = new LineReader(server[announcement.output]);
    const other = announcement.output === "stdout" ? server.stderr : server.stdout;
    // Read from the beginning: what nobody reads would fill the pipe and stop the server.
    const rest = new Response(other).text();
    try {
      const port = await withTimeout(announcedPort(lines, announcement), `${command.join(" ")} to listen`);
      if (port !== undefined) return new ServerProcess(server, lines, announcement === OWN ? rest : NOTHING, port);
    } catch (error) {
      server.kill("SIGKILL");
      throw error;
    }
    server.kill("SIGKILL");
    const complaint = (await rest).trim();
    throw new Error(
      `${command.join(" ")} did not start to listen: ${complaint || "it printed something else, or nothing"}`,
    );
  }

  /**
   * Has the server collect its garbage and waits until it has. For servers that take SIGUSR2 (see servers/support.ts).
   *
   * @throws Error if it ends instead or does not answer within 20 s.
   */
  async collectGarbage(): Promise<void> {
    this.#process.kill("SIGUSR2");
    const line = await withTimeout(this.#lines.next(), "the server to collect its garbage");
    if (line !== "collected") throw new Error(`a server answered ${JSON.stringify(line)} instead of "collected"`);
  }

  /** Ends the server: SIGTERM, and SIGKILL if that is not enough. What it said on stderr is passed on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    try {
      await withTimeout(this.#process.exited, "a server to end after SIGTERM");
    } catch (error) {
      this.#process.kill("SIGKILL");
      throw error;
    }
    const complaint = (await this.#complaint).trim();
    if (complaint !== "") console.error(`  a server said: ${complaint}`);
  }
}

/** What the servers of the benches say, in their first line. */
const OWN: Announcement = { output: "stdout", line: /^listening on .*:(?<port>\d+)$/ };

/** Other servers report what they do; that is no complaint. */
const NOTHING = Promise.resolve("");

/** Undefined if the server does not tell it. */
async function announcedPort(lines: LineReader, announcement: Announcement): Promise<number | undefined> {
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const match = announcement.line.exec(line);
    if (match !== null) return announcement.port ?? Number(match.groups?.["port"]);
    if (announcement === OWN) return undefined;
  }
  return undefined;
}

/** Whether programs can be bound to a core here. */
export function canPin(): boolean {
  return Bun.which("taskset") !== null && navigator.hardwareConcurrency >= 2;
}

async function withTimeout<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`waited ${ANSWER_TIMEOUT_MS / 1000} s for ${what}`)),
    ANSWER_TIMEOUT_MS,
  );
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
