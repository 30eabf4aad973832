// Runs the UDP load generator (bench/udp-load.zig) against a server and returns what it measured.

import { fromReport, type LoadReport, type LoadResult, runLoadProgram } from "./load.ts";

export interface UdpLoadOptions {
  readonly port: number;
  /** The server, whose CPU time is measured. */
  readonly serverPid: number;
  /** Sockets that send. */
  readonly peers: number;
  /** How many datagrams of each are under way at once. */
  readonly window: number;
  readonly messageBytes: number;
  readonly durationMs: number;
  readonly warmupMs: number;
  /** The core that the load generator is bound to. */
  readonly core?: number;
}

export interface UdpLoadResult extends LoadResult {
  /** Datagrams that had no answer. */
  readonly lost: number;
}

/** @throws Error with what the load generator said when it failed: server gone, echo wrong, or none. */
export async function runUdpLoad(options: UdpLoadOptions): Promise<UdpLoadResult> {
  const report = (await runLoadProgram(
    "udp-load",
    [
      "--port",
      String(options.port),
      "--server-pid",
      String(options.serverPid),
      "--peers",
      String(options.peers),
      "--window",
      String(options.window),
      "--message-bytes",
      String(options.messageBytes),
      "--duration-ms",
      String(Math.round(options.durationMs)),
      "--warmup-ms",
      String(Math.round(options.warmupMs)),
    ],
    options.core,
  )) as LoadReport & { readonly lost: number };
  return { ...fromReport(report), lost: report.lost };
}
