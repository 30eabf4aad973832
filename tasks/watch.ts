/**
 * Prints what happens in a folder, and in all folders in it, one line an event; or runs a command anew after each change.
 *
 *     bun tasks/watch.ts --folder src
 *     bun tasks/watch.ts --folder src --run "bun test"
 *
 * The command is run by a shell, at once and whenever something has changed and then nothing more for a tenth of a second. If it is
 * still running, it is ended first, with all that it has started. Without a folder it takes the one that it is started in.
 * Names that begin with a dot and `node_modules` are left out. It ends when the folder is gone; Ctrl-C ends it and the command.
 */

import {
  type ChildProcess,
  each,
  moveOnAfter,
  type Operation,
  scope,
  spawn,
  startProcess,
  watch,
  type Watcher,
  type WatchEvent,
} from "../src/index.ts";
import { readArguments, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { folder, run: command } = readArguments("bun tasks/watch.ts [--folder FOLDER] [--run COMMAND]", {
  folder: (text = ".") => toText(text),
  run: (text) => (text === undefined ? undefined : toText(text)),
});

function* watchFolder(): Operation<void> {
  using watcher = yield* watch(folder, { recursive: true, ignore: isLeftOut });
  console.log(`watching ${folder}`);
  if (command === undefined) yield* printAll(watcher);
  else while (yield* runUntilChanged(watcher, command));
}

function* printAll(watcher: Watcher): Operation<void> {
  for (const event of yield* each(watcher)) {
    console.log(toLine(event));
    yield* each.next();
  }
}

/** The command belongs to the scope, and so has ended when the next one begins. Returns false when the folder is gone. */
function runUntilChanged(watcher: Watcher, shellCommand: string): Operation<boolean> {
  return scope(function* run() {
    const child = yield* startProcess(["sh", "-c", shellCommand], { stdout: "inherit" });
    yield* spawn(() => tellEnd(child), { daemon: true });
    return yield* settledChange(watcher);
  });
}

function* tellEnd(child: ChildProcess): Operation<void> {
  const { exitCode, signal } = yield* child.wait();
  console.log(signal === null ? `ended with exit code ${exitCode}` : `ended by ${signal}`);
}

/** Waits for a change, and until no more follow. */
function* settledChange(watcher: Watcher): Operation<boolean> {
  if (!(yield* change(watcher))) return false;
  for (;;) {
    const hasMore = yield* moveOnAfter(QUIET_MS, () => change(watcher));
    if (hasMore === undefined) return true;
    if (!hasMore) return false;
  }
}

/** Waits for an event that is about content. Returns false at the end. */
function* change(watcher: Watcher): Operation<boolean> {
  for (;;) {
    const { done, value: event } = yield* watcher.next();
    if (done === true) return false;
    if (event.kind === "unwatched") console.error(event.error.message);
    else if (event.kind !== "attributes") return true;
  }
}

function isLeftOut(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === "node_modules" || (name.startsWith(".") && path !== folder);
}

function toLine(event: WatchEvent): string {
  const slash = event.isDirectory ? "/" : "";
  switch (event.kind) {
    case "renamed":
      return `renamed ${event.previousPath}${slash} -> ${event.path}${slash}`;
    case "overflow":
      return `overflow ${event.path}${slash}: events were lost`;
    case "unwatched":
      return `unwatched ${event.path}/: ${event.error.message}`;
    default:
      return `${event.kind} ${event.path}${slash}`;
  }
}

/** Longer than an editor or a compiler takes between two files, and not felt. */
const QUIET_MS = 100;

await runProgram(watchFolder);
