/** A PostgreSQL server of the tests' own, in a folder that goes with it. It refuses to be run by root. */

import { chownSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, RealServer, runCommand } from "./server.ts";

/** Where Debian has the programs of the server, which are on nobody's path; null if it has none. */
export const POSTGRES_PROGRAMS: string | null = globSync("/usr/lib/postgresql/*/bin").sort().at(-1) ?? null;

export class PostgresServer implements AsyncDisposable {
  private constructor(
    private readonly server: RealServer,
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-postgres-"));
    const data = join(folder, "data");
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(folder, await idOf("-u"), await idOf("-g"));
    const who = isRoot ? { user: "postgres" } : {};
    const initialize = [
      `${POSTGRES_PROGRAMS}/initdb`,
      "--pgdata",
      data,
      "--auth=trust",
      "--username=postgres",
      "--no-sync",
    ];
    await runCommand([...initialize, "--locale=C", "--encoding=UTF8"], who);
    const port = freePort();
    const settings = ["fsync=off", "listen_addresses=127.0.0.1", `unix_socket_directories=${folder}`, `port=${port}`];
    const command = [`${POSTGRES_PROGRAMS}/postgres`, "-D", data, ...settings.flatMap((setting) => ["-c", setting])];
    const isReady = (line: string): boolean => line.includes("ready to accept connections");
    return new PostgresServer(await RealServer.start(command, { isReady, ...who }), folder, port);
  }

  get settings(): string {
    return `hostaddr=127.0.0.1 port=${this.port} dbname=postgres user=postgres`;
  }

  /** Ends it at once, as a crash does. */
  async crash(): Promise<void> {
    this.server.kill("SIGQUIT");
    await this.server.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The "fast" shutdown: it does not wait for its clients.
    this.server.kill("SIGINT");
    await this.server.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function idOf(flag: "-u" | "-g"): Promise<number> {
  return Number(await runCommand(["id", flag, "postgres"]));
}
