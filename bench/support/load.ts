// Runs the load generator (bench/load.zig) against a server and returns what it measured.

import type { Subprocess } from "bun";
import { type NativeProgram, nativeProgram } from "../native.ts";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

export interface LoadOptions {
  readonly port: number;
  /** The server, whose CPU time is measured. */
  readonly serverPid: number;
  readonly connections: number;
  readonly messageBytes: number;
  readonly durationMs: number;
  readonly warmupMs: number;
  /** Sends on a fixed schedule instead of one message after the other. */
  readonly ratePerSecond?: number;
  /** The core that the load generator is bound to. */
  readonly core?: number;
}

/** Times are in µs, counted by the load generator; CPU times are user and system time of all threads. */
export interface LoadResult {
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly serverCpuUsPerMessage: number;
  readonly loadCpuUsPerMessage: number;
}

/** @throws Error with what the load generator said when it failed: server gone, echo wrong or late. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return fromReport(
    await runLoadProgram(
      "load",
      [
        "--port",
        String(options.port),
        "--server-pid",
        String(options.serverPid),
        "--connections",
        String(options.connections),
        "--message-bytes",
        String(options.messageBytes),
        "--duration-ms",
        String(Math.round(options.durationMs)),
        "--warmup-ms",
        String(Math.round(options.warmupMs)),
        ...(options.ratePerSecond === undefined ? [] : ["--rate-per-second", String(options.ratePerSecond)]),
      ],
      options.core,
    ),
  );
}

/** @throws Error with what the load generator said when it failed. */
export async function runLoadProgram(
  program: NativeProgram,
  options: readonly string[],
  core?: number,
): Promise<LoadReport> {
  const load = Bun.spawn(
    [...(core === undefined ? [] : ["taskset", "-c", String(core)]), nativeProgram(program), ...options],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  endWithThisProcess(load);
  const [output, complaint, exitCode] = await Promise.all([
    new Response(load.stdout).text(),
    new Response(load.stderr).text(),
    load.exited,
  ]);
  if (exitCode !== 0) throw new Error(`load: ${complaint.trim() || `exit code ${exitCode}`}`);
  return JSON.parse(output) as LoadReport;
}

/** Connections that are open and say nothing. */
export class IdleConnections implements AsyncDisposable {
  readonly #load: Subprocess<"pipe", "pipe", "pipe">;

  private constructor(load: Subprocess<"pipe", "pipe", "pipe">) {
    this.#load = load;
  }

  /**
   * Opens connections, has one message of 64 B echoed on each, and leaves them open.
   *
   * @throws Error with what the load generator said when it failed.
   */
  static async open(port: number, connections: number): Promise<IdleConnections> {
    const load = Bun.spawn(
      [nativeProgram("load"), "--idle", "--port", String(port), "--connections", String(connections)],
      { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
    );
    endWithThisProcess(load);
    const line = await new LineReader(load.stdout).next();
    if (line === "connected") return new IdleConnections(load);
    throw new Error(`load: ${(await new Response(load.stderr).text()).trim()}`);
  }

  /** Closes them all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load.stdin.end();
    await this.#load.exited;
  }
}

/** What bench/load.zig and bench/udp-load.zig print. */
export interface LoadReport {
  readonly messages: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly serverCpuUs: number;
  readonly loadCpuUs: number;
}

export function fromReport(report: LoadReport): LoadResult {
  return {
    messagesPerSecond: report.messagesPerSecond,
    bytesPerSecond: report.bytesPerSecond,
    p50Us: report.p50Us,
    p99Us: report.p99Us,
    p999Us: report.p999Us,
    serverCpuUsPerMessage: report.serverCpuUs / report.messages,
    loadCpuUsPerMessage: report.loadCpuUs / report.messages,
  };
}
