// Runs the load of the forward benchmark (bench/stream.zig): both ends of a connection through a forwarder.

import type { Subprocess } from "bun";
import { nativeProgram } from "../native.ts";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

export interface StreamRound {
  /** The forwarder, whose CPU time is measured. */
  readonly port: number;
  readonly serverPid: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

/** CPU times are user and system time of all threads. */
export interface StreamResult {
  readonly bytesPerSecond: number;
  readonly serverCpuNsPerByte: number;
  readonly loadCpuNsPerByte: number;
}

export class StreamLoad implements AsyncDisposable {
  /** Where a forwarder is to connect to. */
  readonly port: number;
  readonly #load: Subprocess<"pipe", "pipe", "pipe">;
  readonly #lines: LineReader;

  private constructor(load: Subprocess<"pipe", "pipe", "pipe">, lines: LineReader, port: number) {
    this.port = port;
    this.#load = load;
    this.#lines = lines;
  }

  /** @throws Error with what the load generator said when it failed. */
  static async start(blockBytes: number): Promise<StreamLoad> {
    const load = Bun.spawn([nativeProgram("stream"), "--block-bytes", String(blockBytes)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    endWithThisProcess(load);
    const lines = new LineReader(load.stdout);
    const port = Number(/^listening on .*:(\d+)$/.exec((await lines.next()) ?? "")?.[1]);
    if (Number.isInteger(port)) return new StreamLoad(load, lines, port);
    throw new Error(`stream: ${(await load.stderr.text()).trim()}`);
  }

  /** @throws Error with what the load generator said when it failed: forwarder gone, bytes wrong or missing. */
  async run({ port, serverPid, warmupMs, durationMs }: StreamRound): Promise<StreamResult> {
    this.#load.stdin.write(`${port} ${serverPid} ${Math.round(warmupMs)} ${Math.round(durationMs)}\n`);
    const line = await this.#lines.next();
    if (line === undefined) throw new Error(`stream: ${(await this.#load.stderr.text()).trim()}`);
    const { bytes, bytesPerSecond, serverCpuUs, loadCpuUs } = JSON.parse(line) as StreamReport;
    return {
      bytesPerSecond,
      serverCpuNsPerByte: (1000 * serverCpuUs) / bytes,
      loadCpuNsPerByte: (1000 * loadCpuUs) / bytes,
    };
  }

  /** Ends it, which it does when nobody has another round for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load.stdin.end();
    await this.#load.exited;
  }
}

/** What bench/stream.zig prints. */
interface StreamReport {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly serverCpuUs: number;
  readonly loadCpuUs: number;
}
