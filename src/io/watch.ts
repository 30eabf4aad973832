/**
 * Watching a folder, or a file, for changes (inotify(7)).
 *
 * Facts. The system queues what happens, up to a limit (fs.inotify.max_queued_events), and tells when it has lost
 * something. It watches one folder, not those in it; in a new one things may have been made before it is watched. A
 * symbolic link is something of its own, not what it names.
 *
 * Decision. The system's queue is the buffer: events are read as they are asked for, and a task that does not ask costs
 * no memory. A new folder is watched when all that is queued has been told, so that what is found there by then is what
 * comes next: it is watched, then looked into, and what is found is reported as made; what an event then tells once
 * more is left out. When events were lost the tree of watched folders is walked through again before that is reported,
 * so that from then on nothing is missed: whoever gets `overflow` looks for himself at what there is.
 */

import { spendBudget } from "../core/budget.ts";
import { systemToOpen } from "../core/current-system.ts";
import { BusyError, ClosedError, describeValue, type SystemError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { InterestRequest } from "../core/request.ts";
import { Delivery, type Named, Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { Happened, type SystemWatchEvent } from "../core/watch-system.ts";
import { yieldNow } from "../core/yield-now.ts";
import { Pause, WatchQueue } from "./watch-queue.ts";
import { explainOpen, type Folder, Moved, NotPlaced, WatchTree } from "./watch-tree.ts";

export interface WatchOptions {
  /** Whether folders in the folder are watched too, at any depth, also those that come later; by default not. */
  readonly recursive?: boolean | undefined;
  /**
   * What nothing is to be reported of: is asked for each path, as events have it. A folder that is ignored is not
   * watched, nor what is in it.
   */
  readonly ignore?: ((path: string, isDirectory: boolean) => boolean) | undefined;
}

/** What happened. Paths begin with the path that was given to `watch`. */
export type WatchEvent =
  /**
   * - `created`: is new, or was moved here from where nobody watches
   * - `changed`: its content was written or cut
   * - `closed`: was closed by somebody who had it open for writing: what was written is complete
   * - `attributes`: its permissions, owner, times or links were changed
   * - `removed`: is gone, or was moved to where nobody watches
   */
  | {
      readonly kind: "created" | "changed" | "closed" | "attributes" | "removed";
      readonly path: string;
      readonly isDirectory: boolean;
    }
  /**
   * Has another name, or is in another folder; what was at `path` before is gone. Of two folders that were exchanged
   * (RENAME_EXCHANGE of rename(2)) one is `renamed` and the other one `created`, and so may one be whose names have
   * been used again before its event was asked for.
   */
  | {
      readonly kind: "renamed";
      readonly path: string;
      readonly previousPath: string;
      readonly isDirectory: boolean;
    }
  /**
   * Events were lost: look at what there is. All that happens from now on is reported again. `path` is the one that is
   * watched.
   */
  | { readonly kind: "overflow"; readonly path: string; readonly isDirectory: boolean }
  /** A folder in the folder cannot be watched. */
  | { readonly kind: "unwatched"; readonly path: string; readonly isDirectory: true; readonly error: SystemError };

/**
 * Watches a folder or a file from now on.
 *
 *     using watcher = yield* watch("src", { recursive: true });
 *     for (const event of yield* each(watcher)) {
 *       console.log(event.kind, event.path);
 *       yield* each.next();
 *     }
 *
 * A file is watched itself, whatever its name: a program that replaces it by another ends that. Symbolic links are not
 * followed, except that the path itself may be one.
 * @throws TypeError for a path or an option that is none; SystemError that names the path: `ENOENT`, `EACCES`, `ENOSPC`
 *   if the user watches as many folders as the system lets him, `EMFILE` if he has as many watchers
 */
export function* watch(path: string, options: WatchOptions = {}): Operation<Watcher> {
  const { recursive = false, ignore } = options;
  assertArguments(path, recursive, ignore);
  const system = yield* systemToOpen();
  const descriptor = system.watching.open();
  if (descriptor < 0) throw explainOpen(system.errorOf(descriptor, "watch", { path }));
  let watcher: Watcher | null = null;
  let isReady = false;
  try {
    watcher = new Watcher(system, descriptor, path, recursive, ignore);
    yield* watcher.begin();
    isReady = true;
    return watcher;
  } finally {
    // Also if the task was cancelled in the middle of a large tree.
    if (watcher === null) system.close(descriptor);
    else if (!isReady) watcher.close();
  }
}

/** What `watch` returns: iterate it with `each`, or take one event after the other with `next`. */
export class Watcher implements Disposable, Named {
  private readonly source: Source;
  private readonly tree: WatchTree;
  private readonly queue: WatchQueue;
  private readonly steps: Generator<Step, void, void>;
  private readonly isRootDirectory: boolean;
  /** What could not be watched at the beginning. */
  private readonly refused: WatchEvent[] = [];
  private isTaken = false;

  /** For `watch`. */
  constructor(
    private readonly system: System,
    descriptor: number,
    /** What is watched, as it was given. */
    readonly path: string,
    private readonly isRecursive: boolean,
    private readonly ignore: WatchOptions["ignore"],
  ) {
    const absolute = system.watching.absolute(path);
    this.tree = new WatchTree(system, descriptor, absolute, path.replace(/(?<=.)\/+$/, ""));
    this.isRootDirectory = system.watching.isFolder(absolute);
    this.source = new Source(descriptor, Delivery.EDGE, this);
    this.source.readiness = Readiness.READABLE;
    this.queue = new WatchQueue(system, this.source);
    this.steps = this.report();
  }

  /** Words for messages, such as `watcher of src`. */
  get label(): string {
    return `watcher of ${this.path}`;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /**
   * Suspends the task until something has happened. The last event of a path that is gone, or was moved away itself, is
   * that it was removed; then comes the end. A task that is cancelled takes no event away.
   * @returns the event; `done` at the end, and once the watcher is closed
   * @throws BusyError if another task waits; SystemError `ENOSPC` if there are more folders than the user may watch,
   *   which closes the watcher; what `ignore` throws, likewise
   */
  *next(): Operation<IteratorResult<WatchEvent, void>> {
    if (this.isTaken) throw new BusyError(`${this.label}: another task waits for its next event already`);
    this.isTaken = true;
    try {
      return yield* this.nextStep();
    } finally {
      this.isTaken = false;
    }
  }

  /** Watches no more. A task that waits finds the end. */
  close(): void {
    if (this.isClosed) return;
    const { descriptor } = this.source;
    this.source.close();
    this.system.close(descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For `watch`: watches the folders that are there. */
  *begin(): Operation<void> {
    if (!this.isRecursive) return;
    for (const event of this.walk()) {
      if (event === Pause.TURN) yield* yieldNow();
      else this.refused.push(event);
    }
  }

  private *nextStep(): Operation<IteratorResult<WatchEvent, void>> {
    for (;;) {
      if (!spendBudget()) yield* yieldNow();
      if (this.isClosed) return DONE;
      const step = this.step();
      if (step === null) return DONE;
      if (step === Pause.TURN) yield* yieldNow();
      else if (step === Pause.DRAINED) yield* this.somethingToRead();
      else return { done: false, value: step };
    }
  }

  /** Null at the end. */
  private step(): Step | null {
    try {
      const { done, value } = this.steps.next();
      if (done !== true) return value;
      this.close();
      return null;
    } catch (error) {
      // A generator that has thrown is at its end.
      this.close();
      throw error;
    }
  }

  private *somethingToRead(): Operation<void> {
    try {
      yield* new RequestOperation("next", new InterestRequest(this.source, Interest.READABLE));
    } catch (error) {
      if (!(error instanceof ClosedError && this.isClosed)) throw error;
    }
  }

  /** All that is reported, in order. */
  private *report(): Generator<Step, void, void> {
    yield* this.refused.splice(0);
    for (;;) {
      // Also if nothing is told of what happens, as all of it is ignored.
      if (!spendBudget()) yield Pause.TURN;
      const event = this.queue.take();
      if (event === null) yield* this.reportNew();
      else if (yield* this.reportEvent(event)) return;
    }
  }

  /** All has been told, so what is looked at now is what comes next: one new folder is watched, and looked into. */
  private *reportNew(): Generator<Step, void, void> {
    this.tree.settle();
    const awaited = this.tree.takeAwaited();
    if (awaited === null) yield Pause.DRAINED;
    else yield* this.reportContent(awaited.parent, awaited.name);
  }

  private *reportContent(parent: Folder, name: string): Generator<Step, void, void> {
    const folder = this.tree.placeNew(parent, name);
    if (folder === null) return;
    if (folder instanceof NotPlaced) return yield* this.reportUnwatched(folder, this.tree.shown(parent, name));
    const entries = this.tree.list(folder);
    this.tree.noteFound(folder, entries);
    for (const entry of entries) {
      const path = this.tree.shown(folder, entry.name);
      if (this.isIgnored(path, entry.isDirectory)) continue;
      if (entry.isDirectory) this.tree.await(folder, entry.name);
      yield { kind: "created", path, isDirectory: entry.isDirectory };
    }
  }

  private *reportUnwatched({ error }: NotPlaced, path: string): Generator<WatchEvent, void, void> {
    if (error !== null) yield { kind: "unwatched", path, isDirectory: true, error };
  }

  /** Returns whether this is the end. */
  private *reportEvent(event: SystemWatchEvent): Generator<Step, boolean, void> {
    if ((event.happened & Happened.OVERFLOW) !== 0) return yield* this.reportOverflow();
    const folder = this.tree.find(event.watch);
    if (folder === undefined) return false;
    if (event.name === "") return yield* this.reportItself(folder, event);
    yield* this.reportWithin(folder, event);
    return false;
  }

  /** Returns whether this is the end, of which nobody else would tell. */
  private *reportOverflow(): Generator<Step, boolean, void> {
    const isGone = !this.tree.isRootWatched();
    if (this.isRecursive && !isGone) yield* this.walk();
    const path = this.tree.shown(this.tree.root);
    const isDirectory = this.isRootDirectory;
    yield { kind: "overflow", path, isDirectory };
    if (isGone) yield { kind: "removed", path, isDirectory };
    return isGone;
  }

  /**
   * What happened to what is watched itself. Of a folder inside the one that it is in tells the same. Returns whether
   * this is the end.
   */
  private *reportItself(folder: Folder, { happened }: SystemWatchEvent): Generator<Step, boolean, void> {
    const isRoot = folder === this.tree.root;
    if ((happened & Happened.ENDED) !== 0) this.tree.ended(folder);
    if (!isRoot) return false;
    const path = this.tree.shown(folder);
    const isDirectory = this.isRootDirectory;
    if ((happened & (Happened.ENDED | Happened.SELF_MOVED)) !== 0) {
      yield { kind: "removed", path, isDirectory };
      return true;
    }
    const kind = kindOf(happened);
    if (kind !== null) yield { kind, path, isDirectory };
    return false;
  }

  private *reportWithin(folder: Folder, event: SystemWatchEvent): Generator<Step, void, void> {
    const { happened, name } = event;
    if ((happened & Happened.MOVED_FROM) !== 0) return yield* this.reportMove(folder, event);
    const isDirectory = (happened & Happened.FOLDER) !== 0;
    if ((happened & (Happened.CREATED | Happened.MOVED_TO)) !== 0)
      return yield* this.reportCreated(folder, name, isDirectory);
    const isRemoved = (happened & Happened.REMOVED) !== 0;
    if (isRemoved) this.tree.drop(folder, name);
    const path = this.tree.shown(folder, name);
    const kind = isRemoved ? "removed" : kindOf(happened);
    if (kind !== null && !this.isIgnored(path, isDirectory)) yield { kind, path, isDirectory };
  }

  private *reportMove(from: Folder, event: SystemWatchEvent): Generator<Step, void, void> {
    const isDirectory = (event.happened & Happened.FOLDER) !== 0;
    const previousPath = this.tree.shown(from, event.name);
    const wasIgnored = this.isIgnored(previousPath, isDirectory);
    const other = yield* this.queue.takeOtherHalf(event);
    const to = other === null ? undefined : this.tree.find(other.watch);
    // What a look has found at its new place was reported there.
    const isGone = other === null || to === undefined || to.found?.delete(other.name) === true;
    const path = isGone ? "" : this.tree.shown(to, other.name);
    if (isGone || this.isIgnored(path, isDirectory)) {
      this.tree.drop(from, event.name);
      if (!wasIgnored) yield { kind: "removed", path: previousPath, isDirectory };
    } else if (wasIgnored) yield* this.reportCreated(to, other.name, isDirectory);
    else {
      from.found?.delete(event.name);
      if (isDirectory && this.isRecursive) yield* this.reportFolderMove(from, event.name, to, other.name);
      else yield { kind: "renamed", path, previousPath, isDirectory };
    }
  }

  private *reportFolderMove(from: Folder, name: string, to: Folder, newName: string): Generator<Step, void, void> {
    const previousPath = this.tree.shown(from, name);
    const moved = this.tree.whatMoved(from, name, to, newName);
    if (moved === Moved.FOLDER) {
      this.tree.move(from, name, to, newName);
      yield { kind: "renamed", path: this.tree.shown(to, newName), previousPath, isDirectory: true };
      return;
    }
    if (moved !== Moved.EARLIER) {
      this.tree.drop(from, name);
      yield { kind: "removed", path: previousPath, isDirectory: true };
    }
    if (moved !== Moved.FOUND) yield* this.reportCreated(to, newName, true);
  }

  private *reportCreated(folder: Folder, name: string, isDirectory: boolean): Generator<Step, void, void> {
    if (folder.found?.delete(name) === true) return;
    const path = this.tree.shown(folder, name);
    if (this.isIgnored(path, isDirectory)) return;
    if (isDirectory && this.isRecursive) this.tree.await(folder, name);
    yield { kind: "created", path, isDirectory };
  }

  /**
   * Goes through all folders, watches those that are new, and forgets those that are gone. Reports only what cannot be
   * watched.
   */
  private *walk(): Generator<WatchEvent | typeof Pause.TURN, void, void> {
    this.tree.beginWalk();
    const ahead = [this.tree.root];
    for (let folder = ahead.pop(); folder !== undefined; folder = ahead.pop()) {
      for (const { name, isDirectory } of this.tree.list(folder)) {
        const path = this.tree.shown(folder, name);
        if (!isDirectory || this.isIgnored(path, true)) continue;
        const placed = this.tree.placeAgain(folder, name);
        if (placed instanceof NotPlaced) yield* this.reportUnwatched(placed, path);
        else if (placed !== null) ahead.push(placed);
      }
      yield Pause.TURN;
    }
    this.tree.endWalk();
  }

  private isIgnored(path: string, isDirectory: boolean): boolean {
    return this.ignore?.(path, isDirectory) === true;
  }
}

type Step = WatchEvent | Pause;

/** Changes of what stays where it is. */
function kindOf(happened: Happened): "changed" | "closed" | "attributes" | null {
  if ((happened & Happened.CHANGED) !== 0) return "changed";
  if ((happened & Happened.CLOSED) !== 0) return "closed";
  return (happened & Happened.ATTRIBUTES) !== 0 ? "attributes" : null;
}

function assertArguments(path: unknown, recursive: unknown, ignore: unknown): void {
  if (typeof path !== "string" || path === "" || path.includes("\0"))
    throw new TypeError(`watch: path must be a path, but is ${describeValue(path)}`);
  if (typeof recursive !== "boolean")
    throw new TypeError(`watch: recursive must be true or false, but is ${describeValue(recursive)}`);
  if (ignore !== undefined && typeof ignore !== "function")
    throw new TypeError(`watch: ignore must be a function of a path, but is ${describeValue(ignore)}`);
}

const DONE: IteratorResult<WatchEvent, void> = { done: true, value: undefined };
