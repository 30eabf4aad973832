/** The pages for users: their programs, and a project that has the package installed, to run and check them in. */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./temporary.ts";

export interface PageProgram {
  /** The headline that it stands under. */
  readonly title: string;
  readonly source: string;
  /** What its `// prints` comments say that it prints. */
  readonly promised: readonly string[];
}

export interface Page {
  readonly text: string;
  /** Its blocks of TypeScript. */
  readonly programs: readonly PageProgram[];
}

/** A page by its path in the package, such as `docs/io.md`. */
export function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), "utf8");
  const programs = [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map((block): PageProgram => {
    const [whole, source] = block as unknown as [string, string];
    const title =
      text
        .slice(0, block.index)
        .match(/^#+ .*$/gm)
        ?.at(-1) ?? whole;
    const promised = [...source.matchAll(/\/\/ prints (.*)$/gm)].map(([, line]) => line!);
    return { title: title.replace(/^#+ /, ""), source, promised };
  });
  return { text, programs };
}

/** A project that has the package installed, as a user would have it; it is removed at the end of a `using` block. */
export class UserProject implements Disposable {
  private readonly temporary = temporaryFolder();

  constructor() {
    mkdirSync(join(this.folder, "node_modules"));
    symlinkSync(ROOT, join(this.folder, "node_modules", "bun-reactor"));
    symlinkSync(join(ROOT, "node_modules", "@types"), join(this.folder, "node_modules", "@types"));
  }

  get folder(): string {
    return this.temporary.name;
  }

  /** Writes a file; the folder that it is in is made. */
  write(file: string, content: string): void {
    const path = join(this.folder, file);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
  }

  /** Copies a file of the package. */
  copy(from: string, to: string, change: (content: string) => string = (content) => content): void {
    this.write(to, change(readFileSync(join(ROOT, from), "utf8")));
  }

  /** What the compiler, under the strictest options, says against sources that stand in this project; nothing if all is well. */
  async typeErrors(sources: readonly string[]): Promise<string> {
    for (const [index, source] of sources.entries()) this.write(`checked-${index}.ts`, source);
    this.write("tsconfig.json", JSON.stringify({ extends: join(ROOT, "tsconfig.json"), include: ["checked-*.ts"] }));
    await using check = Bun.spawn([process.execPath, "check"], { cwd: this.folder, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr] = await Promise.all([check.stdout.text(), check.stderr.text()]);
    const exitCode = await check.exited;
    const output = `${stdout}${stderr}`;
    return exitCode === 0 && !output.includes("error TS") ? "" : output;
  }

  [Symbol.dispose](): void {
    this.temporary[Symbol.dispose]();
  }
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
