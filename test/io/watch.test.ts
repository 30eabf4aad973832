/** Watching folders and files, with a real file system. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  BusyError,
  cancel,
  each,
  join as joinTask,
  type Operation,
  spawn,
  SystemError,
  watch,
  type Watcher,
  type WatchEvent,
  type WatchOptions,
  yieldNow,
} from "../../src/index.ts";
import { ended } from "../../src/core/task-operations.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { eventsUpToNow, exchange } from "../support/watching.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

const TREE: WatchOptions = { recursive: true };

describeUnless(needs("watching")).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  /** Watches a new folder while `act` does something in it, and returns what was reported. */
  const reported = (
    options: WatchOptions,
    act: (root: string) => void,
    prepare: (root: string) => void = () => {},
  ): Promise<string[]> =>
    way(function* main() {
      using folder = temporaryFolder();
      prepare(folder.name);
      using watcher = yield* watch(folder.name, options);
      act(folder.name);
      return yield* linesUpToNow(watcher, folder.name);
    });

  describe("a folder", () => {
    test("a file that is made, written, changed and removed", async () => {
      const events = await reported({}, (root) => {
        writeFileSync(join(root, "file"), "text");
        appendFileSync(join(root, "file"), "more");
        chmodSync(join(root, "file"), 0o600);
        truncateSync(join(root, "file"), 2);
        unlinkSync(join(root, "file"));
      });
      expect(events).toEqual([
        "created file",
        "changed file",
        "closed file",
        "changed file",
        "closed file",
        "attributes file",
        "changed file",
        "removed file",
      ]);
    });

    test("folders are told from files", async () => {
      const events = await reported({}, (root) => {
        mkdirSync(join(root, "inner"));
        chmodSync(join(root, "inner"), 0o700);
        rmdirSync(join(root, "inner"));
      });
      expect(events).toEqual(["created inner/", "attributes inner/", "removed inner/"]);
    });

    test("a renamed file is one event", async () => {
      const events = await reported(
        {},
        (root) => {
          linkSync(join(root, "old"), join(root, "one"));
          renameSync(join(root, "one"), join(root, "two"));
        },
        (root) => writeFileSync(join(root, "old"), ""),
      );
      expect(events.filter((event) => !event.startsWith("attributes"))).toEqual(["created one", "renamed one -> two"]);
    });

    test("what is in folders inside is not told without `recursive`", async () => {
      const events = await reported(
        {},
        (root) => writeFileSync(join(root, "inner/file"), ""),
        (root) => mkdirSync(join(root, "inner")),
      );
      expect(events).toEqual([]);
    });

    test("changes of the folder's own attributes have its path", async () => {
      expect(await reported({}, (root) => chmodSync(root, 0o700))).toEqual(["attributes ./"]);
    });

    test("strange names come through", async () => {
      const names = ["with space", "zażółć☃", "new\nline", "x".repeat(255)];
      const events = await reported({}, (root) => {
        for (const name of names) mkdirSync(join(root, name));
      });
      expect(events).toEqual(names.map((name) => `created ${name}/`));
    });
  });

  describe("a tree", () => {
    test("folders that were there are watched, at any depth", async () => {
      const events = await reported(
        TREE,
        (root) => {
          mkdirSync(join(root, "a/b/c/d"));
          rmdirSync(join(root, "a/b/c/d"));
        },
        (root) => mkdirSync(join(root, "a/b/c"), { recursive: true }),
      );
      expect(events).toEqual(["created a/b/c/d/", "removed a/b/c/d/"]);
    });

    test("what was made in a new folder before it was watched is reported, once", async () => {
      const events = await reported(TREE, (root) => {
        mkdirSync(join(root, "a/b"), { recursive: true });
        writeFileSync(join(root, "a/one"), "");
        writeFileSync(join(root, "a/b/two"), "");
      });
      expect(events[0]).toBe("created a/");
      expect(events.toSorted()).toEqual(["created a/", "created a/b/", "created a/b/two", "created a/one"]);
    });

    test("what is made in a new folder from then on is reported too, once", () =>
      way(function* main() {
        using folder = temporaryFolder();
        using watcher = yield* watch(folder.name, TREE);
        mkdirSync(join(folder.name, "a"));
        writeFileSync(join(folder.name, "a/first"), "");
        expect(shown(yield* take(watcher), folder.name)).toBe("created a/");
        // The folder is looked into at the next event; this is made before, and the next thing while the look goes on.
        mkdirSync(join(folder.name, "a/second"));
        const next = shown(yield* take(watcher), folder.name);
        mkdirSync(join(folder.name, "a/third"));
        rmdirSync(join(folder.name, "a/third"));
        const events = [next, ...(yield* linesUpToNow(watcher, folder.name))];
        expect(events.toSorted()).toEqual([
          "created a/first",
          "created a/second/",
          "created a/third/",
          "removed a/third/",
        ]);
      }));

    test("what a look has found and an event tells again is left out, and told if it is made anew", () =>
      way(function* main() {
        using folder = temporaryFolder();
        using watcher = yield* watch(folder.name, TREE);
        mkdirSync(join(folder.name, "a"));
        for (const name of ["x", "y"]) mkdirSync(join(folder.name, "a", name));
        expect(shown(yield* take(watcher), folder.name)).toBe("created a/");
        const first = shown(yield* take(watcher), folder.name);
        const second = first === "created a/x/" ? "y" : "x";
        // The look has been taken, and of this folder there is a second report to come.
        rmdirSync(join(folder.name, "a", second));
        mkdirSync(join(folder.name, "a", second));
        writeFileSync(join(folder.name, "a", second, "file"), "");
        const events = [first, ...(yield* linesUpToNow(watcher, folder.name))];
        const about = events.filter((event) => event.includes(`a/${second}`) && !event.includes("file"));
        expect(about).toEqual([`created a/${second}/`, `removed a/${second}/`, `created a/${second}/`]);
        expect(events.filter((event) => event === `created a/${second}/file`).length).toBeGreaterThanOrEqual(1);
        expect(events.at(-1)).toContain(`a/${second}/file`);
      }));

    test("a renamed folder is one event, and what is in it has its new path", () =>
      way(function* main() {
        using folder = temporaryFolder();
        mkdirSync(join(folder.name, "a/b"), { recursive: true });
        mkdirSync(join(folder.name, "other"));
        using watcher = yield* watch(folder.name, TREE);
        renameSync(join(folder.name, "a"), join(folder.name, "other/moved"));
        mkdirSync(join(folder.name, "other/moved/b/c"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([
          "renamed a/ -> other/moved/",
          "created other/moved/b/c/",
        ]);
        // What was made in it, and the old name that is somebody else's, are right as well.
        mkdirSync(join(folder.name, "a"));
        writeFileSync(join(folder.name, "a/file"), "");
        mkdirSync(join(folder.name, "other/moved/b/c/d"));
        expect((yield* linesUpToNow(watcher, folder.name)).toSorted()).toEqual([
          "created a/",
          "created a/file",
          "created other/moved/b/c/d/",
        ]);
      }));

    test("a file that is moved to another folder is one event", async () => {
      const events = await reported(
        TREE,
        (root) => renameSync(join(root, "a/file"), join(root, "b/other")),
        (root) => {
          for (const name of ["a", "b"]) mkdirSync(join(root, name));
          writeFileSync(join(root, "a/file"), "");
        },
      );
      expect(events).toEqual(["renamed a/file -> b/other"]);
    });

    test("a folder that takes the place of another one", async () => {
      const events = await reported(
        TREE,
        (root) => {
          renameSync(join(root, "a"), join(root, "b"));
          mkdirSync(join(root, "b/new"));
        },
        (root) => {
          mkdirSync(join(root, "a/inner"), { recursive: true });
          mkdirSync(join(root, "b"));
        },
      );
      expect(events).toEqual(["renamed a/ -> b/", "created b/new/"]);
    });

    test("folders that are exchanged are watched under the names that they have then", () =>
      way(function* main() {
        using folder = temporaryFolder();
        for (const name of ["a/in-a", "b/in-b"]) mkdirSync(join(folder.name, name), { recursive: true });
        using watcher = yield* watch(folder.name, TREE);
        exchange(join(folder.name, "a"), join(folder.name, "b"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([
          "renamed a/ -> b/",
          "created a/",
          "created a/in-b/",
        ]);
        for (const name of ["a/x", "b/y", "a/in-b/z"]) mkdirSync(join(folder.name, name));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([
          "created a/x/",
          "created b/y/",
          "created a/in-b/z/",
        ]);
        // The root, and two with one in each, and three.
        expect(watchesOf(watcher)).toBe(8);
      }));

    test("a tree that is moved in is reported whole, and watched", () =>
      way(function* main() {
        using outside = temporaryFolder();
        using folder = temporaryFolder();
        mkdirSync(join(outside.name, "a/b"), { recursive: true });
        writeFileSync(join(outside.name, "a/b/file"), "");
        using watcher = yield* watch(folder.name, TREE);
        renameSync(join(outside.name, "a"), join(folder.name, "in"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([
          "created in/",
          "created in/b/",
          "created in/b/file",
        ]);
        unlinkSync(join(folder.name, "in/b/file"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual(["removed in/b/file"]);
      }));

    test("a tree that is moved out is removed, and watched no more", () =>
      way(function* main() {
        using outside = temporaryFolder();
        using folder = temporaryFolder();
        mkdirSync(join(folder.name, "a/b"), { recursive: true });
        using watcher = yield* watch(folder.name, TREE);
        renameSync(join(folder.name, "a"), join(outside.name, "a"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual(["removed a/"]);
        mkdirSync(join(outside.name, "a/b/c"));
        writeFileSync(join(outside.name, "a/file"), "");
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([]);
        expect(watchesOf(watcher)).toBe(1);
      }));

    test("a tree that is removed is reported from the bottom", async () => {
      const events = await reported(
        TREE,
        (root) => rmSync(join(root, "a"), { recursive: true }),
        (root) => {
          mkdirSync(join(root, "a/b"), { recursive: true });
          writeFileSync(join(root, "a/b/file"), "");
        },
      );
      expect(events).toEqual(["removed a/b/file", "removed a/b/", "removed a/"]);
    });

    test("moves from and to that come as they like leave the right names", () =>
      way(function* main() {
        using outside = temporaryFolder();
        using folder = temporaryFolder();
        using watcher = yield* watch(folder.name, TREE);
        const names = new Set<string>();
        for (let round = 0; round < 300; round++) {
          const name = `f${round % 17}`;
          const path = join(folder.name, name);
          if (!existsSync(path)) writeFileSync(path, "");
          else if (round % 3 === 0) renameSync(path, join(outside.name, name));
          else renameSync(path, join(folder.name, `g${round % 5}`));
        }
        for (const line of yield* linesUpToNow(watcher, folder.name)) {
          const [kind, first, , second] = line.split(" ");
          if (kind === "created") names.add(first!);
          if (kind === "removed" || kind === "renamed") expect(names.delete(first!)).toBe(true);
          if (kind === "renamed") names.add(second!);
        }
        expect([...names].filter((name) => !existsSync(join(folder.name, name)))).toEqual([]);
      }));

    test("symbolic links are things of their own", () =>
      way(function* main() {
        using outside = temporaryFolder();
        using folder = temporaryFolder();
        symlinkSync(outside.name, join(folder.name, "old"));
        using watcher = yield* watch(folder.name, TREE);
        symlinkSync(outside.name, join(folder.name, "new"));
        symlinkSync(folder.name, join(folder.name, "circle"));
        mkdirSync(join(outside.name, "a"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual(["created new", "created circle"]);
        expect(watchesOf(watcher)).toBe(1);
      }));

    test("what is ignored is neither reported nor watched, until it gets another name", () =>
      way(function* main() {
        using folder = temporaryFolder();
        mkdirSync(join(folder.name, "skip/inner"), { recursive: true });
        const ignore = (path: string): boolean => path.includes("skip");
        using watcher = yield* watch(folder.name, { recursive: true, ignore });
        expect(watchesOf(watcher)).toBe(1);
        mkdirSync(join(folder.name, "skip/more"));
        mkdirSync(join(folder.name, "skip2"));
        renameSync(join(folder.name, "skip2"), join(folder.name, "skip3"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual([]);
        renameSync(join(folder.name, "skip"), join(folder.name, "seen"));
        expect((yield* linesUpToNow(watcher, folder.name)).toSorted()).toEqual([
          "created seen/",
          "created seen/inner/",
          "created seen/more/",
        ]);
        renameSync(join(folder.name, "seen"), join(folder.name, "skip"));
        expect(yield* linesUpToNow(watcher, folder.name)).toEqual(["removed seen/"]);
        expect(watchesOf(watcher)).toBe(1);
      }));
  });

  describe("the end", () => {
    test("the path itself is removed: it is the last event", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const root = join(folder.name, "root");
        mkdirSync(join(root, "inner"), { recursive: true });
        using watcher = yield* watch(root, TREE);
        rmSync(root, { recursive: true });
        expect(yield* allOf(watcher, root)).toEqual(["removed inner/", "removed ./"]);
        expect(watcher.isClosed).toBe(true);
        expect(yield* watcher.next()).toEqual({ done: true, value: undefined });
      }));

    test("the path itself is moved: it is the last event", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const root = join(folder.name, "root");
        mkdirSync(root);
        using watcher = yield* watch(root);
        renameSync(root, join(folder.name, "elsewhere"));
        expect(yield* allOf(watcher, root)).toEqual(["removed ./"]);
      }));

    test("a loop with each ends with it", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const root = join(folder.name, "root");
        mkdirSync(root);
        using watcher = yield* watch(root);
        const kinds: string[] = [];
        yield* spawn(function* removeWhenAsked() {
          yield* yieldNow();
          mkdirSync(join(root, "a"));
          yield* yieldNow();
          rmSync(root, { recursive: true });
        });
        for (const event of yield* each(watcher)) {
          kinds.push(event.kind);
          yield* each.next();
        }
        expect(kinds).toEqual(["created", "removed", "removed"]);
      }));

    test("closing ends the wait of a task", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const watcher = yield* watch(folder.name);
        const waiting = yield* spawn(() => watcher.next());
        yield* yieldNow();
        watcher.close();
        watcher.close();
        expect(yield* joinTask(waiting)).toEqual({ done: true, value: undefined });
        expect(yield* watcher.next()).toEqual({ done: true, value: undefined });
      }));
  });

  describe("a file", () => {
    test("is watched itself", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const path = join(folder.name, "file");
        writeFileSync(path, "");
        using watcher = yield* watch(path, TREE);
        appendFileSync(path, "more");
        writeFileSync(join(folder.name, "other"), "");
        expect(yield* take(watcher)).toEqual({ kind: "changed", path, isDirectory: false });
        expect(yield* take(watcher)).toEqual({ kind: "closed", path, isDirectory: false });
        unlinkSync(path);
        expect(yield* take(watcher)).toEqual({ kind: "attributes", path, isDirectory: false });
        expect(yield* take(watcher)).toEqual({ kind: "removed", path, isDirectory: false });
        expect(yield* watcher.next()).toEqual({ done: true, value: undefined });
      }));
  });

  describe("what is refused", () => {
    test("a path at which there is nothing", () =>
      way(function* main() {
        const error = yield* errorOf(watch("/no/such/folder", TREE));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "ENOENT", syscall: "watch", path: "/no/such/folder" });
      }));

    test.each<[unknown[], string]>([
      [[""], "path must be a path"],
      [[7], "path must be a path, but is 7"],
      [["a\0b"], "path must be a path"],
      [["/tmp", { recursive: 1 }], "recursive must be true or false"],
      [["/tmp", { ignore: "node_modules" }], "ignore must be a function"],
    ])("%j", async (args, words) => {
      await way(function* main() {
        const error = yield* errorOf(watch(...(args as Parameters<typeof watch>)));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toContain(words);
      });
    });

    test("a second task that waits for the next event", () =>
      way(function* main() {
        using folder = temporaryFolder();
        using watcher = yield* watch(folder.name);
        const waiting = yield* spawn(() => watcher.next());
        yield* yieldNow();
        expect(yield* errorOf(watcher.next())).toBeInstanceOf(BusyError);
        yield* cancel(waiting);
        mkdirSync(join(folder.name, "a"));
        expect(shown(yield* take(watcher), folder.name)).toBe("created a/");
      }));

    test("an `ignore` that throws closes the watcher, and the error comes out", () =>
      way(function* main() {
        using folder = temporaryFolder();
        using watcher = yield* watch(folder.name, {
          ignore: () => {
            throw new Error("the user's own");
          },
        });
        mkdirSync(join(folder.name, "a"));
        expect((yield* errorOf(watcher.next())).message).toBe("the user's own");
        expect(watcher.isClosed).toBe(true);
      }));
  });

  test("a task that is cancelled takes no event away", () =>
    way(function* main() {
      using folder = temporaryFolder();
      using watcher = yield* watch(folder.name, TREE);
      const names = Array.from({ length: 50 }, (_, index) => `d${index}`);
      const seen: string[] = [];
      for (const name of names) {
        const waiting = yield* spawn(() => watcher.next());
        yield* yieldNow();
        mkdirSync(join(folder.name, name));
        // It may have its event by now, or not.
        if (Number(name.slice(1)) % 2 === 0) yield* yieldNow();
        waiting.cancel();
        yield* ended(waiting);
        const result = waiting.state === "completed" ? waiting.value : null;
        if (result !== null && result.done !== true) seen.push(shown(result.value, folder.name));
      }
      seen.push(...(yield* linesUpToNow(watcher, folder.name)));
      expect(seen).toEqual(names.map((name) => `created ${name}/`));
    }));

  test("lost events are reported, and the tree is right from then on", () =>
    way(function* main() {
      using folder = temporaryFolder();
      mkdirSync(join(folder.name, "gone/inner"), { recursive: true });
      mkdirSync(join(folder.name, "renamed"));
      using watcher = yield* watch(folder.name, TREE);
      yield* fillQueue(folder.name);
      // None of these is told.
      rmSync(join(folder.name, "gone"), { recursive: true });
      renameSync(join(folder.name, "renamed"), join(folder.name, "other"));
      mkdirSync(join(folder.name, "made/inner"), { recursive: true });
      let event = yield* take(watcher);
      while (event.kind !== "overflow") event = yield* take(watcher);
      expect(event).toEqual({ kind: "overflow", path: folder.name, isDirectory: true });
      // The root, other, made, made/inner.
      expect(watchesOf(watcher)).toBe(4);
      mkdirSync(join(folder.name, "other/a"));
      mkdirSync(join(folder.name, "made/inner/b"));
      expect(yield* linesUpToNow(watcher, folder.name)).toEqual(["created other/a/", "created made/inner/b/"]);
    }));

  test("if the root's own end is among the lost events, it is told all the same", () =>
    way(function* main() {
      using folder = temporaryFolder();
      const root = join(folder.name, "root");
      mkdirSync(root);
      using watcher = yield* watch(root, TREE);
      yield* fillQueue(root);
      rmSync(root, { recursive: true });
      mkdirSync(root);
      expect((yield* allOf(watcher, root)).slice(-2)).toEqual(["overflow ./", "removed ./"]);
    }));
});

describeUnless(needs("watching"))("cancelled at every suspend point", () => {
  expectNothingLeftBehind();

  test("nothing is left of a watcher", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using folder = temporaryFolder();
        for (const name of ["a/b", "c"]) mkdirSync(join(folder.name, name), { recursive: true });
        using watcher = yield* watch(folder.name, TREE);
        yield* spawn(function* act() {
          yield* yieldNow();
          mkdirSync(join(folder.name, "c/d"));
          yield* yieldNow();
          renameSync(join(folder.name, "a"), join(folder.name, "e"));
        });
        yield* take(watcher);
        yield* take(watcher);
      },
      { leastPoints: 6 },
    ));
});

function* take(watcher: Watcher): Operation<WatchEvent> {
  const { done, value } = yield* watcher.next();
  if (done === true) throw new Error("the watcher has come to its end");
  return value;
}

/** What is reported of all that has happened by now. */
function* linesUpToNow(watcher: Watcher, root: string): Operation<string[]> {
  return (yield* eventsUpToNow(watcher)).map((event) => shown(event, root));
}

function* allOf(watcher: Watcher, root: string): Operation<string[]> {
  const events: string[] = [];
  for (;;) {
    const { done, value } = yield* watcher.next();
    if (done === true) return events;
    events.push(shown(value, root));
  }
}

/** In a line, with the paths inside of the root. */
function shown(event: WatchEvent, root: string): string {
  const slash = event.isDirectory ? "/" : "";
  const inside = (path: string): string => (path === root ? "." : path.slice(root.length + 1)) + slash;
  if (event.kind === "renamed") return `renamed ${inside(event.previousPath)} -> ${inside(event.path)}`;
  return `${event.kind} ${inside(event.path)}`;
}

/** How many files and folders the system watches for it (proc(5)). */
function watchesOf(watcher: Watcher): number {
  const { descriptor } = (watcher as unknown as { readonly source: { readonly descriptor: number } }).source;
  return readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8").split("inotify wd").length - 1;
}

/** Lets as much happen as the system keeps for a watcher; the same thing twice in a row would count once. */
function* fillQueue(folder: string): Operation<void> {
  const limit = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
  const paths = ["filler", "another"].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, "");
  for (let count = 0; count < limit; count++) {
    chmodSync(paths[count % 2]!, 0o600);
    if (count % 1000 === 0) yield* yieldNow();
  }
}
