/** A user's project: an empty folder outside the repository, in which the package is installed from its tarball. */

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { packedTarball, ROOT } from "./tarball.ts";

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Variables to add to the environment; undefined takes one out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** By default the project's folder. */
  readonly folder?: string;
}

export class Project implements Disposable {
  private constructor(
    readonly folder: string,
    /** What the installation said. */
    readonly installation: Outcome,
  ) {}

  static async install(): Promise<Project> {
    const tarball = await packedTarball();
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-project-"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
    // A cache of its own, and no registry: there is nothing but the tarball.
    const environment = { BUN_INSTALL_CACHE_DIR: join(folder, ".cache"), BUN_CONFIG_REGISTRY: NO_REGISTRY };
    const installation = await runIn(folder, [process.execPath, "add", tarball], { environment });
    return new Project(folder, installation);
  }

  /** Writes a file; returns its path. */
  write(name: string, content: string): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** Makes packages of the repository's own dependencies available, as if they were installed. */
  link(...names: readonly string[]): void {
    for (const name of names) {
      const place = join(this.folder, "node_modules", name);
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(join(ROOT, "node_modules", name), place);
    }
  }

  /** Runs Bun with the arguments. */
  bun(bunArguments: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runIn(this.folder, [process.execPath, ...bunArguments], options);
  }

  /** Runs any program. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runIn(this.folder, command, options);
  }

  /** Does something while the project is not where it was. */
  async whileGone<T>(body: () => Promise<T>): Promise<T> {
    const elsewhere = `${this.folder}.gone`;
    renameSync(this.folder, elsewhere);
    try {
      return await body();
    } finally {
      renameSync(elsewhere, this.folder);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs a program to its end. What it starts as `bun` is this Bun. */
export async function runIn(folder: string, command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: options.folder ?? folder,
    env: { ...environmentOfUser(), ...options.environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return { exitCode: child.exitCode, stdout, stderr };
}

/** What programs of the project are started with. */
export function environmentOfUser(): Record<string, string | undefined> {
  return {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
    BUN_REACTOR_LIBRARY: undefined,
    NO_COLOR: "1",
    FORCE_COLOR: undefined,
  };
}

/** Nobody listens there. */
const NO_REGISTRY = "http://127.0.0.1:9/";

/** Met only by a program that hangs. */
const LIMIT_MS = 60_000;
