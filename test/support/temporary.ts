/** Files and folders for tests, which are gone when the test is. */

import { mkdtempSync, readdirSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PLATFORM } from "./platform.ts";

export interface TemporaryPath extends Disposable {
  readonly name: string;
}

/** A folder that is removed, with what is in it, at the end of a `using` block. */
export function temporaryFolder(): TemporaryPath {
  const name = mkdtempSync(join(tmpdir(), "bun-reactor-test-"));
  return { name, [Symbol.dispose]: () => removeFolder(name) };
}

/** A path at which nothing is yet; what is there at the end of a `using` block is removed. */
export function temporaryPath(base: string): TemporaryPath {
  const folder = temporaryFolder();
  return { name: join(folder.name, base), [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Removes a folder with what is in it. */
export function removeFolder(path: string): void {
  if (PLATFORM !== "wine") return rmSync(path, { recursive: true, force: true });
  // Under wine 8 that fails with EFAULT, even for a folder that is empty.
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory() && !entry.isSymbolicLink()) removeFolder(inside);
    else unlinkSync(inside);
  }
  rmdirSync(path);
}
