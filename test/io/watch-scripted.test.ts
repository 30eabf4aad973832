/** Watching, with a system that does what the test has written down: limits, refusals, and moves whose halves come apart. */

import { describe, expect, test } from "bun:test";
import { Readiness } from "../../src/core/interest.ts";
import { type FolderEntry, Happened, type SystemWatchEvent, type WatchSystem } from "../../src/core/watch-system.ts";
import {
  Executor,
  type Operation,
  spawn,
  SystemError,
  watch,
  type Watcher,
  type WatchEvent,
  type WatchOptions,
  yieldNow,
} from "../../src/index.ts";
import { rejectionOf } from "../support/failure.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";

const { EACCES, EAGAIN, EMFILE, ENOENT, ENOSPC } = errno;

/** What a read of the watcher brings: events, or that there are none. */
type Read = readonly Partial<SystemWatchEvent>[] | "nothing";

interface Script {
  readonly reads?: readonly Read[];
  /** What is in each folder. */
  readonly folders?: Readonly<Record<string, readonly FolderEntry[]>>;
  /** The error numbers of paths that cannot be watched. */
  readonly refused?: Readonly<Record<string, number>>;
  readonly openResult?: number;
}

const WATCHER = 50;
const ROOT_WATCH = 1;

class WatchedWorld extends ScriptedWorld {
  readonly added: string[] = [];
  readonly removed: number[] = [];
  /** How often the watcher was found to be empty. */
  emptyReads = 0;
  isOpen = false;
  private readonly watches = new Map<string, number>();

  constructor(private readonly script: Script) {
    const reads = [...(script.reads ?? [])];
    const self = (): WatchedWorld => this;
    const watching: WatchSystem = {
      open: () => {
        const { openResult = WATCHER } = script;
        if (openResult >= 0) self().isOpen = true;
        return openResult;
      },
      add: (_descriptor, path) => self().add(path),
      remove: (_descriptor, number) => {
        self().removed.push(number);
        return 0;
      },
      read: () => {
        const next = reads.shift() ?? "nothing";
        if (next !== "nothing") return next.map((event) => ({ ...NOTHING_HAPPENED, ...event }));
        self().emptyReads++;
        return -EAGAIN;
      },
      list: (path) => script.folders?.[path] ?? [],
      isFolder: () => true,
      absolute: (path) => path,
    };
    super({}, {}, { watching, close: () => self().closeWatcher() });
  }

  /** Lets the watcher be read once more. */
  somethingHappens(): void {
    this.declareReady(WATCHER, Readiness.READABLE);
    this.declareIdle(WATCHER);
  }

  private add(path: string): number {
    const errno = this.script.refused?.[path];
    if (errno !== undefined) return -errno;
    this.added.push(path);
    const number = this.watches.get(path) ?? this.watches.size + ROOT_WATCH;
    this.watches.set(path, number);
    return number;
  }

  private closeWatcher(): number {
    if (!this.isOpen) throw new Error("the watcher was closed twice");
    this.isOpen = false;
    return 0;
  }
}

function watching<T>(world: WatchedWorld, options: WatchOptions, body: (watcher: Watcher) => Operation<T>): Promise<T> {
  const running = new Executor(world).run(function* main() {
    using watcher = yield* watch("root", options);
    return yield* body(watcher);
  });
  return settled(world, running);
}

test("events of which nothing is told let others run", async () => {
  const ignored = Array.from({ length: 64 }, () => ({
    watch: ROOT_WATCH,
    happened: Happened.CREATED,
    name: "ignored",
  }));
  const told = [{ watch: ROOT_WATCH, happened: Happened.CREATED, name: "told" }];
  const reads = [...Array.from({ length: 1_000 }, () => ignored), told];
  const world = new WatchedWorld({ reads });
  let turns = 0;
  const ignore = (path: string): boolean => path.endsWith("ignored");
  await watching(world, { ignore }, function* body(watcher) {
    yield* spawn(
      function* count() {
        for (;;) {
          turns++;
          yield* yieldNow();
        }
      },
      { daemon: true },
    );
    expect(yield* watcher.next()).toMatchObject({ value: { kind: "created", path: "root/told" } });
  });
  expect(turns).toBeGreaterThan(100);
});

describe("limits and refusals", () => {
  test("no watcher left names the sysctl", async () => {
    const world = new WatchedWorld({ openResult: -EMFILE });
    const error = await rejectionOf(watching(world, {}, nothing), SystemError);
    expect(error).toMatchObject({ code: "EMFILE", syscall: "watch" });
    expect(error.message).toContain("fs.inotify.max_user_instances");
  });

  test.each([
    ["the root", "root"],
    ["a folder inside", "root/a"],
  ])("no watch left for %s names the sysctl, and closes what was opened", async (_what, path) => {
    const world = new WatchedWorld({ folders: { root: [folder("a")] }, refused: { [path]: ENOSPC } });
    const error = await rejectionOf(watching(world, { recursive: true }, nothing), SystemError);
    expect(error).toMatchObject({ code: "ENOSPC", path });
    expect(error.message).toContain("fs.inotify.max_user_watches");
    expect(world.isOpen).toBe(false);
  });

  test("no watch left for a new folder ends the watcher", async () => {
    const world = new WatchedWorld({ reads: [[created("new")]], refused: { "root/new": ENOSPC } });
    const error = await rejectionOf(
      watching(world, { recursive: true }, function* body(watcher) {
        expect(yield* take(watcher)).toMatchObject({ kind: "created", path: "root/new" });
        try {
          yield* take(watcher);
        } finally {
          expect(watcher.isClosed).toBe(true);
          expect(yield* watcher.next()).toEqual({ done: true, value: undefined });
        }
      }),
      SystemError,
    );
    expect(error).toMatchObject({ code: "ENOSPC", path: "root/new" });
    expect(world.isOpen).toBe(false);
  });

  test("folders that may not be watched are told, those of the beginning first", async () => {
    const world = new WatchedWorld({
      folders: { root: [folder("secret"), folder("a")] },
      refused: { "root/secret": EACCES, "root/a/secret": EACCES },
      reads: [[{ ...created("secret"), watch: ROOT_WATCH + 1 }]],
    });
    await watching(world, { recursive: true }, function* body(watcher) {
      const first = yield* take(watcher);
      expect(first).toMatchObject({ kind: "unwatched", path: "root/secret", isDirectory: true });
      expect(first.kind === "unwatched" && first.error.code).toBe("EACCES");
      expect(yield* take(watcher)).toMatchObject({ kind: "created", path: "root/a/secret" });
      expect(yield* take(watcher)).toMatchObject({ kind: "unwatched", path: "root/a/secret" });
    });
  });

  test("a folder that is gone before it is watched is no error", async () => {
    const world = new WatchedWorld({
      reads: [[created("short"), created("next")]],
      refused: { "root/short": ENOENT },
    });
    await watching(world, { recursive: true }, function* body(watcher) {
      expect(yield* take(watcher)).toMatchObject({ kind: "created", path: "root/short" });
      expect(yield* take(watcher)).toMatchObject({ kind: "created", path: "root/next" });
    });
  });

  test("a folder whose name is no UTF-8 is told, because it cannot be watched", async () => {
    const world = new WatchedWorld({ reads: [[created("a\uFFFD")]], refused: { "root/a\uFFFD": ENOENT } });
    await watching(world, { recursive: true }, function* body(watcher) {
      yield* take(watcher);
      const event = yield* take(watcher);
      expect(event.kind === "unwatched" && event.error.message).toContain("its name is no UTF-8");
    });
  });
});

describe("the halves of a move", () => {
  const from = (name: string, cookie: number): Partial<SystemWatchEvent> => ({
    happened: Happened.MOVED_FROM,
    name,
    cookie,
  });
  const to = (name: string, cookie: number): Partial<SystemWatchEvent> => ({
    happened: Happened.MOVED_TO,
    name,
    cookie,
  });
  const changed = (name: string): Partial<SystemWatchEvent> => ({ happened: Happened.CHANGED, name });

  test("come together though a read ends between them", async () => {
    expect(await lines([[changed("x"), from("a", 7)], [to("b", 7)]], 2)).toEqual(["changed x", "renamed a b"]);
  });

  test("come together though all has been read between them", async () => {
    expect(await lines([[from("a", 7)], "nothing", [to("b", 7)]], 1)).toEqual(["renamed a b"]);
  });

  test("come together though others come between, each at its place", async () => {
    const reads: Read[] = [
      [from("a", 7), changed("x"), from("c", 8)],
      [to("d", 8), changed("a"), to("b", 7)],
    ];
    expect(await lines(reads, 4)).toEqual(["renamed a b", "changed x", "renamed c d", "changed a"]);
  });

  test("that come later than that are a removal and something new", async () => {
    expect(await lines([[from("a", 7)], "nothing", "nothing", [to("b", 7)]], 2)).toEqual(["removed a", "created b"]);
  });

  test("of which one never comes hold nothing back", async () => {
    const many = Array.from({ length: 200 }, (_, index) => from(`f${index}`, index + 1));
    const wanted = many.map(({ name }) => `removed ${name}`);
    expect(await lines([many, [changed("x")]], 201)).toEqual([...wanted, "changed x"]);
  });

  test("are not looked for far ahead: what is held is bounded", async () => {
    const reads: Read[] = [[from("a", 1000)], Array.from({ length: 64 }, () => changed("x")), [to("b", 1000)]];
    const events = await lines(reads, 66);
    expect([events[0], events.at(-1)]).toEqual(["removed a", "created b"]);
  });

  /** The events, in short, as many as are asked for. The system is never ready by itself between. */
  async function lines(reads: readonly Read[], count: number): Promise<string[]> {
    const world = new WatchedWorld({ reads });
    return await watching(world, {}, function* body(watcher) {
      const events: string[] = [];
      while (events.length < count) {
        const event = yield* takeThough(world, watcher);
        const name = event.path.slice("root/".length);
        events.push(
          event.kind === "renamed"
            ? `renamed ${event.previousPath.slice("root/".length)} ${name}`
            : `${event.kind} ${name}`,
        );
      }
      return events;
    });
  }
});

/** Makes the watcher ready whenever it is found to be empty, so that the next read of the script comes. */
function* takeThough(world: WatchedWorld, watcher: Watcher): Operation<WatchEvent> {
  const { emptyReads } = world;
  world.somethingHappens();
  const event = yield* take(watcher);
  expect(world.emptyReads - emptyReads).toBeLessThanOrEqual(2);
  return event;
}

function* take(watcher: Watcher): Operation<WatchEvent> {
  const { done, value } = yield* watcher.next();
  if (done === true) throw new Error("the watcher has come to its end");
  return value;
}

function* nothing(): Operation<void> {
  yield* yieldNow();
}

function folder(name: string): FolderEntry {
  return { name, isDirectory: true };
}

function created(name: string): Partial<SystemWatchEvent> {
  return { happened: Happened.CREATED | Happened.FOLDER, name };
}

const NOTHING_HAPPENED: SystemWatchEvent = { watch: ROOT_WATCH, happened: 0, cookie: 0, name: "" };
