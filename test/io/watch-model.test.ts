/**
 * A watcher against a model: whatever happens in a tree, in random order, who applies the events to what he knew has what
 * there is.
 */

import { beforeAll, expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import {
  cancel,
  type Operation,
  run,
  runProcess,
  spawn,
  watch,
  type Watcher,
  type WatchEvent,
  yieldNow,
} from "../../src/index.ts";
import { Random } from "../../src/testing/random.ts";
import { change } from "../support/changing-tree.ts";
import { openReactor } from "../support/loopback.ts";
import { eventsUpToNow } from "../support/watching.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { effort } from "../support/effort.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(needs("watching"))("random changes of a tree", () => {
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

  test.each(Array.from({ length: 2 }, (_, seed) => seed + 1))(
    "by another process, with seed %d, are all told",
    async (seed) => {
      await run(function* main() {
        using folder = temporaryFolder();
        const root = join(folder.name, "root");
        const outside = join(folder.name, "outside");
        for (const path of [root, outside]) mkdirSync(path);
        using watcher = yield* watch(root, { recursive: true });
        const model = new Set<string>();
        const reading = yield* spawn(
          function* read() {
            for (;;) applyLoosely(model, yield* take(watcher));
          },
          { daemon: true },
        );
        const { exitCode } = yield* runProcess([process.execPath, "--eval", changer(seed, root, outside)]);
        expect(exitCode).toBe(0);
        yield* cancel(reading);
        for (const event of yield* eventsUpToNow(watcher)) applyLoosely(model, event);
        expect([...model].map((path) => relative(root, path)).toSorted()).toEqual(whatIsIn(root));
      });
    },
  );
});

/** A program that changes the tree as fast as it can. */
function changer(seed: number, root: string, outside: string): string {
  return `
    import { change } from ${JSON.stringify(new URL("../support/changing-tree.ts", import.meta.url).href)};
    import { Random } from ${JSON.stringify(new URL("../../src/testing/random.ts", import.meta.url).href)};
    const random = new Random(${seed});
    for (let step = 0; step < ${STEPS_OF_ANOTHER}; step++)
      change(random, ${JSON.stringify(root)}, ${JSON.stringify(outside)});
  `;
}

/** What the event says is so from then on; nothing is told twice, and nothing of what was not told. */
function apply(model: Set<string>, event: WatchEvent): void {
  if (event.kind === "created") expect(model).not.toContain(event.path);
  else if (event.kind === "removed") expect(model).toContain(event.path);
  else if (event.kind === "renamed") expect(model).toContain(event.previousPath);
  applyLoosely(model, event);
}

/** While others are at work a name may be told twice. */
function applyLoosely(model: Set<string>, event: WatchEvent): void {
  if (event.kind === "created") model.add(event.path);
  else if (event.kind === "removed") for (const path of below(model, event.path)) model.delete(path);
  else if (event.kind === "renamed") {
    const moved = below(model, event.previousPath);
    for (const path of moved) model.delete(path);
    for (const path of moved) model.add(event.path + path.slice(event.previousPath.length));
    model.add(event.path);
  }
}

/** The path and all that is in it. */
function below(model: Set<string>, top: string): string[] {
  return [...model].filter((path) => path === top || path.startsWith(`${top}/`));
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

const MARKER = "MARKER";
const ROUNDS = effort(40);
const STEPS_OF_ANOTHER = 500;
