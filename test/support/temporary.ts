/** Files and folders for tests, which are gone when the test is. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryPath extends Disposable {
  readonly name: string;
}

/** A folder that is removed, with what is in it, at the end of a `using` block. */
export function temporaryFolder(): TemporaryPath {
  const name = mkdtempSync(join(tmpdir(), "bun-reactor-test-"));
  return { name, [Symbol.dispose]: () => rmSync(name, { recursive: true, force: true }) };
}

/** A path at which nothing is yet; what is there at the end of a `using` block is removed. */
export function temporaryPath(base: string): TemporaryPath {
  const folder = temporaryFolder();
  return { name: join(folder.name, base), [Symbol.dispose]: () => folder[Symbol.dispose]() };
}
