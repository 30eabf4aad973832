/**
 * A small service manager that speaks sd_notify(3), and the other side of it.
 *
 * It runs a command, prints what that says of itself, keeps the descriptors that it gives into keeping (FDSTORE), and hands
 * them to its next start (sd_listen_fds(3)):
 *
 *     bun tasks/sd-notify.ts --run "bun server.ts" --restarts 3
 *
 * Within such a command, or a unit of systemd, it says something to the manager, with a descriptor of the shell's if need
 * be:
 *
 *     bun tasks/sd-notify.ts --send READY=1 --status "serving"
 *     bun tasks/sd-notify.ts --send READY=1 --store 5 --name data 5<data.txt
 *
 * systemd-notify(1) can be used as well. The command is a single one: several are a script, or `sh -c "…"`. Ctrl-C ends it,
 * too, with all that it has started: after 3 seconds by force.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  bindUnixDatagram,
  Channel,
  moveOnAfter,
  openUnixDatagram,
  type Operation,
  promise,
  spawn,
  type UnixDatagram,
} from "../src/index.ts";
import { DescriptorStore } from "./sd-notify/descriptor-store.ts";
import { type Notification, notify, receiveNotification } from "./sd-notify/protocol.ts";
import { readArguments, refuseArguments, toAssignment, toCount, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const USAGE =
  "bun tasks/sd-notify.ts --run COMMAND [--restarts N] | --send NAME=VALUE [--status TEXT] [--store N [--name NAME]]";

const options = readArguments(USAGE, {
  run: (text) => (text === undefined ? null : toText(text)),
  restarts: (text = "0") => toCount(text),
  send: (text) => (text === undefined ? null : toAssignment(text)),
  status: (text) => text ?? null,
  store: (text) => (text === undefined ? null : toCount(text)),
  name: (text = "stored") => toText(text),
});

/** Runs the command, again and again if it is to be restarted. */
function* manage(command: string): Operation<void> {
  using folder = temporaryFolder();
  const path = join(folder.name, "notify");
  // Others than this user have no business here.
  using socket = yield* bindUnixDatagram({ path, mode: 0o600, passCredentials: true });
  using store = new DescriptorStore();
  const caughtUp = new Channel<void>();
  const listening = yield* spawn(() => listenFor(socket, store, caughtUp), { name: "notifications" });
  for (let start = 0; start <= options.restarts; start++) {
    const ending = yield* runOnce(command, path, store);
    // Messages come in order: behind our own, nothing is left of the command's.
    using own = yield* openUnixDatagram();
    yield* own.sendTo({ path }, "");
    yield* caughtUp.receive();
    console.log(ending);
  }
  listening.cancel();
}

/** Runs the command to its end, with what was stored by earlier ones as its descriptors 3 and following. */
function* runOnce(command: string, notifyPath: string, { all }: DescriptorStore): Operation<string> {
  const passed = { LISTEN_FDS: String(all.length), LISTEN_FDNAMES: all.map(({ name }) => name).join(":") };
  // The shell becomes the command, so that the process number that the command is told is its own.
  const script = 'LISTEN_PID=$$; export LISTEN_PID; eval "exec $0"';
  const child = Bun.spawn(["sh", "-c", script, command], {
    env: { ...process.env, NOTIFY_SOCKET: notifyPath, ...(all.length === 0 ? {} : passed) },
    detached: true, // It leads a group of its own, so that all of it can be ended.
    stdio: ["ignore", "inherit", "inherit", ...all.map(({ descriptor }) => descriptor)],
  });
  try {
    console.log(`started process ${child.pid}`);
    const exitCode = yield* promise(child.exited);
    return `process ${child.pid} ended with ${child.signalCode ?? exitCode}`;
  } finally {
    yield* endGroup(child);
  }
}

/** Ends the command, and what it has started and left running, as systemd does: politely first. */
function* endGroup({ pid, exited }: Bun.Subprocess): Operation<void> {
  killGroup(pid, "SIGTERM");
  yield* moveOnAfter(GRACE_MS, () => promise(exited));
  killGroup(pid, "SIGKILL");
  yield* promise(exited);
}

function killGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // All of it has ended.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function* listenFor(socket: UnixDatagram, store: DescriptorStore, caughtUp: Channel<void>): Operation<void> {
  for (;;) {
    using notification = yield* receiveNotification(socket);
    if (notification.processId === process.pid) yield* caughtUp.send();
    else hear(notification, store);
  }
}

/** What is in no message of ours any more is closed with it; of a barrier, that is what its sender waits for. */
function hear(notification: Notification, store: DescriptorStore): void {
  const { variables, processId } = notification;
  const say = (words: string): void => console.log(`process ${processId}: ${words}`);
  const name = storedName(variables.get("FDNAME"));
  if (variables.get("FDSTORE") === "1") say(`stored ${store.add(name, notification.takeDescriptors())} as ${name}`);
  if (variables.get("FDSTOREREMOVE") === "1") say(`removed ${store.remove(name)} that were ${name}`);
  for (const [key, value] of variables) if (!/^(FD.*|BARRIER)$/.test(key)) say(`${key}=${value}`);
}

/** Names are told to the next start in a list with colons between. */
function storedName(name: string | undefined): string {
  return name !== undefined && /^[\x21-\x39\x3b-\x7e]{1,255}$/.test(name) ? name : "stored";
}

function* tell(assignment: Readonly<Record<string, string>>): Operation<void> {
  const { status, store, name } = options;
  const variables = { ...assignment, ...(status === null ? {} : { STATUS: status }) };
  const storing = store === null ? {} : { FDSTORE: "1", FDNAME: name };
  const isHeard = yield* notify({ ...variables, ...storing }, store === null ? [] : [store]);
  if (!isHeard) console.error("nobody wants to know: NOTIFY_SOCKET is not set");
}

function temporaryFolder(): { readonly name: string } & Disposable {
  const name = mkdtempSync(join(tmpdir(), "sd-notify-"));
  return { name, [Symbol.dispose]: () => rmSync(name, { recursive: true, force: true }) };
}

if (options.run === null && options.send === null) refuseArguments(USAGE, "--run or --send is missing");
if (options.run !== null && options.send !== null) refuseArguments(USAGE, "--run and --send exclude each other");

/** Shorter than the clean-up of a cancelled task may take. */
const GRACE_MS = 3_000;

await runProgram(function* main() {
  if (options.run !== null) yield* manage(options.run);
  else if (options.send !== null) yield* tell(options.send);
});
