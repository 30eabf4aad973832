/** Real servers for tests: started on loopback or in a folder of their own, ended with the test. */

import { pathOf } from "./component.ts";

export interface ServerOptions {
  /** Whether this line of its output means that it is ready. */
  readonly isReady: (line: string) => boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Who runs it, for servers that refuse to be run by root. */
  readonly user?: string;
  readonly folder?: string;
}

/**
 * A process that ends with its block. What it printed is in the error if it does not become ready. When a test meets its time
 * limit Bun sends SIGTERM to every child process there is, and so to a server that several tests share: of failures in one file,
 * the first is the one to look at.
 */
export class RealServer implements AsyncDisposable {
  private constructor(private readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">) {}

  get processId(): number {
    return this.child.pid;
  }

  get exited(): Promise<number> {
    return this.child.exited;
  }

  static async start(command: readonly string[], options: ServerOptions): Promise<RealServer> {
    const [program, ...args] = command;
    const path = pathOf(program!);
    if (path === null) throw new Error(`there is no ${program}`);
    const child = Bun.spawn([...asUser(options.user), path, ...args], {
      env: { ...process.env, ...options.environment },
      ...(options.folder === undefined ? {} : { cwd: options.folder }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const server = new RealServer(child);
    try {
      await untilReady(child, options.isReady);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    await this.child.exited;
  }
}

/** Runs a program to its end; fails unless its exit code is 0. */
export async function runCommand(
  command: readonly string[],
  { user }: { readonly user?: string } = {},
): Promise<string> {
  const child = Bun.spawn([...asUser(user), ...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode === 0) return stdout;
  throw new Error(`${command.join(" ")} ended with ${child.exitCode}: ${stderr || stdout}`);
}

/** A port of this machine that nobody listens on at the moment. */
export function freePort(): number {
  return freePorts(1)[0]!;
}

/** So many ports that nobody listens on at the moment, no two alike: a port that is let go of may be the next one given out. */
export function freePorts(count: number): number[] {
  using listeners = new DisposableStack();
  return Array.from({ length: count }, () => {
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    return listeners.use(listener).port;
  });
}

function asUser(user: string | undefined): readonly string[] {
  return user === undefined || process.getuid?.() !== 0
    ? []
    : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
}

/** Reads both outputs on until the end of the process, so that it never waits for us. */
async function untilReady(
  child: Bun.Subprocess<"ignore", "pipe", "pipe">,
  isReady: (line: string) => boolean,
): Promise<void> {
  const lines: string[] = [];
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const pieces = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = pieces.pop()!;
      for (const line of pieces) {
        if (lines.length < MOST_LINES) lines.push(line);
        if (isReady(line)) resolve();
      }
    }
  };
  void Promise.all([read(child.stdout), read(child.stderr)]).then(
    () => reject(new Error(`the server ended before it was ready:\n${lines.join("\n")}`)),
    reject,
  );
  await ready;
}

/** For the message of a server that does not start. */
const MOST_LINES = 50;
