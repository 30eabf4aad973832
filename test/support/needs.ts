/** Why a test cannot run on this platform: what it lacks, and what the emulators of it lack. */

import { type Feature, isSupported } from "../../src/index.ts";
import { IS_THOROUGH } from "./effort.ts";
import { gap, type Gaps } from "./platform.ts";

/** The reason not to run a test of these features; null where all of them are there. */
export function needs(...features: readonly Feature[]): string | null {
  const missing = features.find((feature) => !isSupported(feature));
  if (missing !== undefined) return `${process.platform} has no ${missing}`;
  return firstOf(...features.map((feature) => gap(GAPS[feature] ?? {})));
}

/** What an emulator lacks of features that the platform has. */
const GAPS: Readonly<Partial<Record<Feature, Gaps>>> = {
  serialPorts: { "qemu-user": "qemu-user 10 does not know TIOCGEXCL, without which no port is taken alone" },
};

/** The reason of a test that is about unix stream sockets, besides what else it needs. */
export const NEEDS_UNIX_SOCKETS = gap({ wine: "wine 8 has no unix sockets" });

/** Of a test whose children are programs that every POSIX system has; `process-portable.test.ts` has tests without. */
export const NEEDS_POSIX_PROGRAMS = gap({ win32: "the children of this test are programs of POSIX" });

/** Of a test that puts the package into a project by a link to its folder. */
export const NEEDS_LINKS = gap({ wine: "wine 8 makes no links to folders" });

/** Of a test that runs a program of its own under a shell. */
export const NEEDS_SHELL = gap({ win32: "this test needs sh" });

/** Of a test of programs that are ended by Ctrl-C, and say then what they have to say. */
export const NEEDS_SIGNALS = gap({ win32: "nobody can send a signal to a process of win32" });

/** Of a test of how a cluster ends that is done with one way of sharing already. */
export const NEEDS_QUICK_WORKERS = unlessThorough({
  "qemu-user": "clusters end alike with either way of sharing, and a Worker takes a second to start here",
});

/** Of a test that starts programs of `tasks/` or of the documents, which are made of what other tests are about. */
export const NEEDS_QUICK_STARTS = unlessThorough({
  "qemu-user": "a program takes seconds to start here, and what this one is made of is tested: --thorough runs it",
});

/** Of a test that breaks a connection off (SO_LINGER of 0) and looks what the peer is told. */
export const NEEDS_RESETS = gap({ wine: "wine 8 ends a connection that is to be reset as any other" });

/** Of a test in which a number is another file's, as dup2(2) makes it. */
export const NEEDS_DUPLICATES = gap({ win32: "win32 gives nobody a chosen handle" });

/** Of a test in which `bun --hot` loads a program anew. */
export const NEEDS_RELOADS = gap({
  wine: "wine 8 replaces no file that a program has open",
  "qemu-user": "under qemu-user 10 bun --hot does not always load a program anew",
});

/** Of a test that counts on what a short read of a TCP connection tells. */
export const NEEDS_SHORT_READS = gap({ win32: "a short read proves nothing on win32" });

/** Of a test of the reports of an edge source that nobody waits for. */
export const NEEDS_CHANGES = gap({ win32: "the event queue of win32 reports no change by itself" });

/**
 * Of a test of what is true as soon as a child has been started, or of a program that cannot be started: the child has Bun wait,
 * and tells it through memory that both have.
 */
export const NEEDS_VFORK = gap({
  "qemu-user": "qemu-user makes fork(2) of vfork(2): Bun does not wait for exec, and learns of none that fails",
});

/** Of a test whose child is ended by a real-time signal. */
export const NEEDS_REAL_TIME_SIGNALS = gap({ "qemu-user": "qemu-user gives the last real-time signals other numbers" });

/** Of a test that counts the descriptors for which a message had no room. */
export const NEEDS_EXACT_DESCRIPTORS = gap({
  "qemu-user": "qemu-user 10 miscounts descriptors that there is no room for",
});

/** Of a test in which a socket of IPv6 joins a group of IPv4. */
export const NEEDS_IPV4_GROUPS_OF_IPV6 = gap({ "qemu-user": "qemu-user 10 does not know IP_MULTICAST_IF" });

/** The same, for another reason: the first that applies. */
export function firstOf(...reasons: readonly (string | null)[]): string | null {
  return reasons.find((reason) => reason !== null) ?? null;
}

/** Gaps of time alone, which a thorough run does not mind. */
function unlessThorough(gaps: Gaps): string | null {
  return IS_THOROUGH ? null : gap(gaps);
}
