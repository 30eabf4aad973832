/** A project with the package as users have it: what `bun run pack` makes, with the library of this machine. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pack } from "../../scripts/pack.ts";
import { TARGETS } from "../../scripts/targets.ts";

const ROOT = join(import.meta.dirname, "../..");

/** What the programs of the project import besides, and what that imports. */
const PEERS = ["effect", "effection", "fast-check", "pure-rand"];

export class UserProject implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "bun-reactor-project-"));

  private constructor() {}

  static async make(): Promise<UserProject> {
    const project = new UserProject();
    const here = TARGETS.filter(({ name }) => name === `${process.platform}-${process.arch}`);
    const { files } = await pack({ targets: here });
    for (const { path, content } of files) project.write(join("node_modules", "bun-reactor", path), content);
    for (const name of PEERS) {
      symlinkSync(join(ROOT, "node_modules", name), join(project.folder, "node_modules", name));
    }
    return project;
  }

  /** Puts one of bench/programs into the project, where it imports the package by its name; returns its path. */
  addProgram(file: string): string {
    const source = readFileSync(join(ROOT, "bench", "programs", file), "utf8");
    return this.write(file, source.replace("../../src/index.ts", "bun-reactor"));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }

  private write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }
}
