/** Bun for other platforms than this one, from npm, which has a package for each. */

import { join } from "node:path";
import { fetchedOnce, pinnedVersion, step } from "./fetching.ts";
import { MissingError } from "./missing.ts";

/**
 * Bun's program out of a package such as `@oven/bun-linux-x64-musl`.
 *
 * @throws MissingError if npm is not there or cannot fetch it
 */
export async function bunOfPackage(root: string, name: string): Promise<string> {
  const folder = await fetchedOnce(root, name.replace("@oven/", ""), async (unfinished) => {
    if (Bun.which("npm") === null) throw new MissingError(`there is no npm to fetch ${name} with`);
    const wanted = `${name}@${pinnedVersion(root)}`;
    await step(
      ["npm", "pack", "--silent", "--pack-destination", unfinished, wanted],
      root,
      `npm cannot fetch ${wanted}`,
    );
    await step(["sh", "-c", "tar -xzf *.tgz && rm *.tgz"], unfinished, `the package of ${wanted} cannot be unpacked`);
  });
  return join(folder, "package", "bin", name.includes("windows") ? "bun.exe" : "bun");
}
