/**
 * A watcher against a model: whatever happens in a tree, in random order, who applies the events to what he knew has what
 * there is.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Operation, run, watch, type Watcher, type WatchEvent, yieldNow } from "../../src/index.ts";
import { Random } from "../../src/testing/random.ts";
import { openReactor } from "../support/loopback.ts";
import { eventsUpToNow } from "../support/watching.ts";
import { temporaryFolder } from "../support/temporary.ts";

beforeAll(openReactor);

describe("random changes of a tree", () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed + 1))("with seed %d are all told", async (seed) => {
    await run(function* main() {
      using folder = temporaryFolder();
      const root = join(folder.name, "root");
      const outside = join(folder.name, "outside");
      for (const path of [root, outside]) mkdirSync(path);
      using watcher = yield* watch(root, { recursive: true });
      const random = new Random(seed);
      const model = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        yield* yieldNow();
        for (let step = random.below(8); step >= 0; step--) {
          change(random, root, outside);
          yield* yieldNow();
        }
        // Events are taken now and then, so that many changes are made before and while the watcher hears of them.
        for (let taken = random.below(6); taken > 0 && model.size > 0; taken--) {
          mkdirSync(join(root, MARKER));
          apply(model, yield* take(watcher));
          rmSync(join(root, MARKER), { recursive: true });
        }
      }
      for (const event of yield* eventsUpToNow(watcher)) apply(model, event);
      expect([...model].map((path) => relative(root, path)).toSorted()).toEqual(whatIsIn(root));
    });
  });
});

/** Makes, moves or removes something at random; what is not possible is left. */
function change(random: Random, root: string, outside: string): void {
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

/** What the event says is so from then on; nothing is told twice, and nothing of what was not told. */
function apply(model: Set<string>, event: WatchEvent): void {
  if (event.kind === "created") {
    expect(model).not.toContain(event.path);
    model.add(event.path);
  } else if (event.kind === "removed") {
    expect(model).toContain(event.path);
    for (const path of below(model, event.path)) model.delete(path);
  } else if (event.kind === "renamed") {
    expect(model).toContain(event.previousPath);
    const moved = below(model, event.previousPath);
    for (const path of moved) model.delete(path);
    for (const path of moved) model.add(event.path + path.slice(event.previousPath.length));
  }
}

/** The path and all that is in it. */
function below(model: Set<string>, top: string): string[] {
  return [...model].filter((path) => path === top || path.startsWith(`${top}/`));
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

function whatIsIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
}

function* take(watcher: Watcher): Operation<WatchEvent> {
  const { done, value } = yield* watcher.next();
  if (done === true) throw new Error("the watcher has come to its end");
  return value;
}

const NAMES = ["a", "b", "c", "d"];
const MARKER = "MARKER";
const ROUNDS = 40;
