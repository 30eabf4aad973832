/** Random changes of a tree of files. */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/testing/random.ts";

/** Makes, moves or removes something at random; what is not possible is left. */
export function change(random: Random, root: string, outside: string): void {
  const places = [root, ...foldersIn(root)];
  const place = places[random.below(places.length)]!;
  const path = join(place, NAMES[random.below(NAMES.length)]!);
  const other = join(places[random.below(places.length)]!, NAMES[random.below(NAMES.length)]!);
  const away = join(outside, NAMES[random.below(NAMES.length)]!);
  switch (random.below(8)) {
    case 0:
    case 1:
      if (!existsSync(path)) mkdirSync(path);
      return;
    case 2:
      if (!existsSync(path)) writeFileSync(path, "");
      return;
    case 3:
      if (!existsSync(path)) mkdirSync(join(path, "a/b"), { recursive: true });
      return;
    case 4:
    case 5:
      if (existsSync(path) && !existsSync(other) && !other.startsWith(`${path}/`)) renameSync(path, other);
      return;
    case 6:
      if (existsSync(path) && !existsSync(away)) renameSync(path, away);
      else if (existsSync(away) && !existsSync(path)) renameSync(away, path);
      return;
    case 7:
      rmSync(path, { recursive: true, force: true });
  }
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

const NAMES = ["a", "b", "c", "d"];
