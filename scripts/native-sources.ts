// What the native library is made of, as one hash: it tells whether a library is up to date, and stands in the library as
// its provenance. It depends on the contents alone, not on times, folders or the machine.

import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const INPUTS = ["build.zig", "build.zig.zon", "src/**/*.zig"];

/** SHA-256 over the names and contents of the sources in the folder `zig/`, in hexadecimal digits. */
export function hashOfNativeSources(zigFolder: string): string {
  const hash = createHash("sha256");
  // Windows has other separators, and the same sources must have the same hash there.
  const files = globSync(INPUTS, { cwd: zigFolder }).map((file) => file.replaceAll("\\", "/"));
  for (const file of files.sort()) {
    const content = readFileSync(join(zigFolder, file));
    // The length keeps apart what would otherwise run together: the end of one file and the start of the next.
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}
