/**
 * Calls on watchers of files: a part of the `System`. They never block, and return a negated error number if they fail.
 */

/** What happened, as flags, by the numbers that `zig/src/watch.zig` has. */
export const Happened = {
  CREATED: 1,
  CHANGED: 2,
  ATTRIBUTES: 4,
  /** A file that was open for writing was closed. */
  CLOSED: 8,
  REMOVED: 16,
  /** A name was moved from here, to where the event with the same cookie says, if that is watched. */
  MOVED_FROM: 32,
  MOVED_TO: 64,
  /** What is watched has got another name itself. */
  SELF_MOVED: 128,
  /** The watch is gone. */
  ENDED: 256,
  /** Events were lost. */
  OVERFLOW: 512,
  /** It happened to a folder. */
  FOLDER: 1024,
} as const;
export type Happened = number;

/** What is watched, by the numbers that `zig/src/watch.zig` has. */
export const WatchTarget = {
  /**
   * A file, or a folder with what is directly in it; a symbolic link stands for what it names. Its own moves are told.
   */
  ROOT: 0,
  /** A folder inside of a root, and no symbolic link. */
  FOLDER: 1,
} as const;
export type WatchTarget = (typeof WatchTarget)[keyof typeof WatchTarget];

export interface SystemWatchEvent {
  /** The number of the watch; -1 for an overflow. */
  readonly watch: number;
  readonly happened: Happened;
  /** Joins the two halves of a move; else 0. */
  readonly cookie: number;
  /** Within the watched folder; empty if it happened to what is watched itself. What is no UTF-8 is U+FFFD. */
  readonly name: string;
}

export interface FolderEntry {
  readonly name: string;
  /** Not of a symbolic link to one. */
  readonly isDirectory: boolean;
}

export interface WatchSystem {
  open(): number;
  /** The number of the watch, the same as before if the file is watched already. */
  add(descriptor: number, path: string, target: WatchTarget): number;
  remove(descriptor: number, watch: number): number;
  /** Some of what has happened, in order; or an error number, that of "would block" if all has been told. */
  read(descriptor: number): readonly SystemWatchEvent[] | number;
  /** Whether it is a folder, or a symbolic link to one. */
  isFolder(path: string): boolean;
  /** What is in a folder; or an error number. */
  list(path: string): readonly FolderEntry[] | number;
  /** The path from the root of the file system, whatever the current folder will be. */
  absolute(path: string): string;
}
