/** What `bun-reactor doctor` finds out. */

import { readFileSync } from "node:fs";
import { release } from "node:os";
import { ABI_VERSION, loadLibrary, provenanceOf } from "../native/library.ts";
import { currentPlatform, findLibrary, type LibraryOrigin } from "../native/library-file.ts";
import { type DescriptorLimit, descriptorLimit } from "./limits.ts";
import { type SelfTest, testItself } from "./self-test.ts";

export interface Report {
  /** Whether the package works here. */
  readonly isHealthy: boolean;
  /** What is wrong, and what to do about it. */
  readonly problems: readonly string[];
  /** What works, but not as well as it could. */
  readonly remarks: readonly string[];
  readonly version: string;
  readonly platform: string;
  /** As `uname -r` says it. */
  readonly kernel: string;
  readonly bun: { readonly version: string; readonly path: string };
  /** Null if there is none that can be used. */
  readonly library: LibraryReport | null;
  readonly eventQueue: string;
  readonly descriptors: DescriptorLimit | null;
  /** Empty if there is no library to test with. */
  readonly selfTests: readonly SelfTest[];
}

export interface LibraryReport {
  readonly path: string;
  readonly origin: LibraryOrigin;
  /** The places before it, each with what was found there. */
  readonly tried: readonly string[];
  readonly abiVersion: number;
  /** What it was made of, by what, for what. */
  readonly provenance: string;
}

export async function examine(): Promise<Report> {
  const { version, engines } = readManifest();
  const problems: string[] = [];
  if (!Bun.semver.satisfies(Bun.version, engines.bun)) {
    problems.push(`Bun is ${Bun.version}, and ${engines.bun} is needed: run "bun upgrade"`);
  }
  const library = examineLibrary(problems);
  const selfTests = library === null ? [] : await testItself();
  for (const { name, problem } of selfTests) {
    if (problem !== null) problems.push(`the echo over loopback with ${name} failed: ${problem}`);
  }
  const descriptors = descriptorLimit();
  return {
    isHealthy: problems.length === 0,
    problems,
    remarks: [...remarksOnSystem(descriptors), ...remarksOnLibrary(library, version)],
    version,
    platform: currentPlatform(),
    kernel: release(),
    bun: { version: Bun.version, path: process.execPath },
    library,
    eventQueue: EVENT_QUEUES[process.platform] ?? "none",
    descriptors,
    selfTests,
  };
}

function examineLibrary(problems: string[]): LibraryReport | null {
  try {
    const found = findLibrary();
    const { path, origin, tried } = found;
    const provenance = provenanceOf(loadLibrary(path, found));
    return { path, origin, tried, abiVersion: ABI_VERSION, provenance };
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return null;
  }
}

function remarksOnSystem(descriptors: DescriptorLimit | null): string[] {
  const remarks: string[] = [];
  const soft = descriptors?.soft ?? "unlimited";
  if (soft !== "unlimited" && soft < FEW_DESCRIPTORS) {
    remarks.push(`${soft} open descriptors are few for a server: raise the limit with "ulimit -n ${FEW_DESCRIPTORS}"`);
  }
  if (process.platform === "linux" && Bun.semver.order(kernelVersion(), EXACT_WAITS_SINCE) < 0) {
    remarks.push(`before Linux ${EXACT_WAITS_SINCE} waits are exact to a millisecond only (epoll_pwait2)`);
  }
  return remarks;
}

function remarksOnLibrary(library: LibraryReport | null, version: string): string[] {
  if (library === null || library.provenance.startsWith(`bun-reactor ${version} `)) return [];
  return [`the library is of another version, though one that fits: this package is ${version}`];
}

/** The three numbers of it: distributions add words of their own. */
function kernelVersion(): string {
  const [, major, minor, patch = "0"] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release()) ?? [];
  return `${major ?? 0}.${minor ?? 0}.${patch}`;
}

interface Manifest {
  readonly version: string;
  readonly engines: { readonly bun: string };
}

function readManifest(): Manifest {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as Manifest;
}

const EVENT_QUEUES: Partial<Record<NodeJS.Platform, string>> = {
  linux: "epoll",
  darwin: "kqueue",
  freebsd: "kqueue",
  win32: "I/O completion port",
};

/** What many systems give a process by default: a server of that size meets it. */
const FEW_DESCRIPTORS = 1024;

const EXACT_WAITS_SINCE = "5.11.0";
