/**
 * The folders that a watcher watches, as a tree.
 *
 * Facts. The system knows a watch by a number that belongs to the folder itself, and stays when that is renamed; what
 * it tells is the number and a name within the folder (inotify(7)). To watch a folder that is watched already gives the
 * same number.
 *
 * Decision. Each number has a `Folder` here, with its name and the folder that it is in, from which its path follows; a
 * rename moves it in the tree, with all that is below. So the number decides which folder it is, and never the path.
 */

import { inOtherWords, type SystemError } from "../core/errors.ts";
import type { System } from "../core/system.ts";
import { type FolderEntry, WatchTarget } from "../core/watch-system.ts";

export class Folder {
  /** Those in it that are watched, by name. */
  readonly folders = new Map<string, Folder>();
  /** The names of those in it that were reported, and are not watched yet. */
  readonly awaited = new Set<string>();
  /**
   * The names that were reported because a look into the folder has found them, and of which an event may still come.
   */
  found: Set<string> | null = null;
  /** The last walk through the tree that has come to it. */
  walk = 0;

  constructor(
    readonly watch: number,
    /** Null for the root. */
    public parent: Folder | null,
    public name: string,
  ) {}

  /** The path within `root`, of the folder or of something in it. */
  pathIn(root: string, name = ""): string {
    const path = this.parent === null ? root : joinPath(this.parent.pathIn(root), this.name);
    return name === "" ? path : joinPath(path, name);
  }

  isAt(parent: Folder, name: string): boolean {
    return this.parent === parent && this.name === name;
  }

  /** Whether it is the other one, or somewhere in it. */
  isWithin(other: Folder): boolean {
    return this === other || (this.parent !== null && this.parent.isWithin(other));
  }
}

/** What a move was about. */
export const enum Moved {
  /** The folder that is known under the old name, or none that is known. */
  FOLDER,
  /** One that a look has found under the new name. */
  FOUND,
  /** One that was there before the folder that is known under the old name, and still is there. */
  EARLIER,
  /** It cannot be told: all this is over. */
  UNCLEAR,
}

/** Why a folder cannot be watched: it is gone (null), or what the system says. */
export class NotPlaced {
  constructor(readonly error: SystemError | null) {}
}

export class WatchTree {
  readonly root: Folder;
  private readonly folders = new Map<number, Folder>();
  /** Folders with names that are awaited; maybe none any more. */
  private readonly awaiting = new Set<Folder>();
  /** Folders with names that were found. */
  private readonly unsettled = new Set<Folder>();
  private walks = 0;

  /** @throws SystemError if the root cannot be watched */
  constructor(
    private readonly system: System,
    private readonly descriptor: number,
    /** The root, as the system is to find it. */
    private readonly path: string,
    /** The root, as the user calls it. */
    private readonly shownPath: string,
  ) {
    const watch = system.watching.add(descriptor, path, WatchTarget.ROOT);
    if (watch < 0) throw explainAdd(system.errorOf(watch, "watch", { path: shownPath }));
    this.root = new Folder(watch, null, "");
    this.folders.set(watch, this.root);
  }

  /** Whether the root is where it was, and is watched. */
  isRootWatched(): boolean {
    return this.system.watching.add(this.descriptor, this.path, WatchTarget.ROOT) === this.root.watch;
  }

  find(watch: number): Folder | undefined {
    return this.folders.get(watch);
  }

  /** The path of something in a folder, or of the folder itself, as the user would write it. */
  shown(folder: Folder, name?: string): string {
    return folder.pathIn(this.shownPath, name);
  }

  /** A folder in another is to be watched when there is time. */
  await(parent: Folder, name: string): void {
    parent.awaited.add(name);
    this.awaiting.add(parent);
  }

  /** One of the folders that are awaited, which is not awaited from then on; null if there is none. */
  takeAwaited(): { readonly parent: Folder; readonly name: string } | null {
    for (const parent of this.awaiting) {
      for (const name of parent.awaited) {
        parent.awaited.delete(name);
        return { parent, name };
      }
      this.awaiting.delete(parent);
    }
    return null;
  }

  /**
   * Watches a folder that was not there before, or that the watcher does not know to be there. Null if it is watched
   * there already.
   * @throws SystemError `ENOSPC` if the system's limit is reached
   */
  placeNew(parent: Folder, name: string): Folder | NotPlaced | null {
    const placed = this.place(parent, name);
    if (placed instanceof NotPlaced || placed.isNew) return placed instanceof NotPlaced ? placed : placed.folder;
    const { folder } = placed;
    // A folder within itself: the same folder is mounted at two places.
    if (parent.isWithin(folder) || folder.isAt(parent, name)) return null;
    // It has come here a moment ago, and an event will tell that it has left the other place; or two were exchanged.
    this.dropFolder(folder);
    return this.placeNew(parent, name);
  }

  /**
   * For a walk: watches a folder. One that is known, and that the walk has not come to, is here now. Null if the walk
   * has been there.
   * @throws SystemError `ENOSPC` if the system's limit is reached
   */
  placeAgain(parent: Folder, name: string): Folder | NotPlaced | null {
    const placed = this.place(parent, name);
    if (placed instanceof NotPlaced) return placed;
    const { folder } = placed;
    if (folder.walk === this.walks) return null;
    folder.walk = this.walks;
    this.link(folder, parent, name);
    return folder;
  }

  /** What is in a folder; nothing if that is gone, or may not be read. */
  list(folder: Folder): readonly FolderEntry[] {
    const entries = this.system.watching.list(folder.pathIn(this.path));
    return typeof entries === "number" ? [] : entries;
  }

  /**
   * What a move from one name to another was about. Folders are found by their names, so one that is watched at the old
   * name may be another that has come there since: then the new name has another number than it.
   */
  whatMoved(from: Folder, name: string, to: Folder, newName: string): Moved {
    const folder = from.folders.get(name);
    if (folder === undefined) return to.folders.has(newName) ? Moved.FOUND : Moved.FOLDER;
    const watch = this.watchOf(to, newName);
    if (watch === null || watch === folder.watch) return Moved.FOLDER;
    return this.watchOf(from, name) === folder.watch ? Moved.EARLIER : Moved.UNCLEAR;
  }

  /**
   * Renames a folder, with all that is below. One that is not watched is awaited at its new place. If there was a
   * folder, that is gone, or has the other name now (RENAME_EXCHANGE of rename(2)): so both names are looked at once
   * more.
   */
  move(from: Folder, name: string, to: Folder, newName: string): void {
    const folder = from.folders.get(name);
    const hasDisplaced = to.folders.has(newName);
    if (folder === undefined || to.isWithin(folder) || from.awaited.has(name)) this.await(to, newName);
    if (folder !== undefined && !to.isWithin(folder)) this.link(folder, to, newName);
    if (!hasDisplaced) return;
    this.await(from, name);
    this.await(to, newName);
  }

  /** A name in a folder is gone: what is watched of it is watched no more. */
  drop(parent: Folder, name: string): void {
    parent.awaited.delete(name);
    parent.found?.delete(name);
    const folder = parent.folders.get(name);
    if (folder !== undefined) this.dropFolder(folder);
  }

  private dropFolder(folder: Folder): void {
    this.unlink(folder);
    const dropped = [folder];
    for (let next = dropped.pop(); next !== undefined; next = dropped.pop()) {
      dropped.push(...next.folders.values());
      this.forget(next);
      // It may have ended by itself.
      this.system.watching.remove(this.descriptor, next.watch);
    }
  }

  /** The system watches the folder no more. */
  ended(folder: Folder): void {
    this.forget(folder);
    this.unlink(folder);
  }

  /** Names that a look has found, and events may tell of once more. */
  noteFound(folder: Folder, entries: readonly FolderEntry[]): void {
    if (entries.length === 0) return;
    folder.found = new Set(entries.map(({ name }) => name));
    this.unsettled.add(folder);
  }

  /** All events have been read: none tells any more of what was found before. */
  settle(): void {
    for (const folder of this.unsettled) folder.found = null;
    this.unsettled.clear();
  }

  /** Begins to go through all folders; nothing need be awaited any more. */
  beginWalk(): void {
    for (const folder of this.awaiting) folder.awaited.clear();
    this.awaiting.clear();
    this.walks++;
    this.root.walk = this.walks;
  }

  /** Folders that the walk has not come to are gone. */
  endWalk(): void {
    for (const folder of this.folders.values()) {
      if (folder.walk === this.walks) continue;
      this.ended(folder);
      this.system.watching.remove(this.descriptor, folder.watch);
    }
  }

  /** The number of what is watched under a name, or would be; null if that is no folder at the moment. */
  private watchOf(parent: Folder, name: string): number | null {
    const { watching } = this.system;
    const watch = watching.add(this.descriptor, parent.pathIn(this.path, name), WatchTarget.FOLDER);
    if (watch < 0) return null;
    if (!this.folders.has(watch)) watching.remove(this.descriptor, watch);
    return watch;
  }

  private place(parent: Folder, name: string): { readonly folder: Folder; readonly isNew: boolean } | NotPlaced {
    const watch = this.system.watching.add(this.descriptor, parent.pathIn(this.path, name), WatchTarget.FOLDER);
    if (watch < 0) return this.notPlaced(watch, this.shown(parent, name));
    const known = this.folders.get(watch);
    if (known !== undefined) return { folder: known, isNew: false };
    const folder = new Folder(watch, parent, name);
    this.folders.set(watch, folder);
    parent.folders.set(name, folder);
    return { folder, isNew: true };
  }

  private link(folder: Folder, parent: Folder, name: string): void {
    if (folder.isAt(parent, name)) return;
    this.unlink(folder);
    folder.parent = parent;
    folder.name = name;
    parent.folders.set(name, folder);
  }

  /** Another may have its name by now. */
  private unlink(folder: Folder): void {
    if (folder.parent?.folders.get(folder.name) === folder) folder.parent.folders.delete(folder.name);
  }

  private forget(folder: Folder): void {
    this.folders.delete(folder.watch);
    this.awaiting.delete(folder);
    this.unsettled.delete(folder);
  }

  private notPlaced(result: number, path: string): NotPlaced {
    const error = this.system.errorOf(result, "watch", { path });
    if (LIMITS.includes(error.code)) throw explainAdd(error);
    if (!GONE.includes(error.code)) return new NotPlaced(error);
    // A name that is no UTF-8 cannot be looked up by what is shown of it.
    return new NotPlaced(path.includes("\uFFFD") ? inOtherWords(error, NO_UTF8) : null);
  }
}

/** The limits of inotify(7), by the names under which an administrator finds them. */
export function explainOpen(error: SystemError): SystemError {
  if (error.code !== "EMFILE") return error;
  return inOtherWords(
    error,
    "too many watchers or descriptors are open: close some, or raise the sysctl fs.inotify.max_user_instances (or ulimit -n)",
  );
}

function explainAdd(error: SystemError): SystemError {
  if (error.code !== "ENOSPC") return error;
  return inOtherWords(
    error,
    "no more folders and files can be watched by this user: watch fewer, ignore some, or raise the sysctl fs.inotify.max_user_watches",
  );
}

function joinPath(folder: string, name: string): string {
  return folder.endsWith("/") ? folder + name : `${folder}/${name}`;
}

const NO_UTF8 = "its name is no UTF-8, so it cannot be watched";

/** What ends the watcher: it would miss what happens from now on. */
const LIMITS: readonly string[] = ["ENOSPC", "ENOMEM"];

/** What there was a moment ago, or is no folder any more. */
const GONE: readonly string[] = ["ENOENT", "ENOTDIR"];
