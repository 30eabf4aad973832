/** All platforms, those that take longest first. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TARGETS } from "../targets.ts";
import { compileOnly, contractSuite, libraryFor } from "./contract-suite.ts";
import { MissingError } from "./missing.ts";
import { muslBun } from "./musl.ts";
import { outcomeOfBun, outcomeOfZig } from "./outcome.ts";
import type { Plan, Platform, Workplace } from "./platform.ts";
import { qemuBun } from "./qemu.ts";
import { typescriptSuite } from "./typescript-suite.ts";
import { endWine, windowsPath, wineBun } from "./wine.ts";

export interface ListOptions {
  /** Whether what only takes long under an emulator is run as well. */
  readonly isThorough: boolean;
  /** Where `libkqueue.so` is. */
  readonly kqueueFolder: string | undefined;
  /** What `npm test` and `zig build test` have printed, if they have run here already. */
  readonly nativeLogs: NativeLogs | undefined;
}

export interface NativeLogs {
  readonly bun: string;
  readonly zig: string;
}

export function allPlatforms({ isThorough, kqueueFolder, nativeLogs }: ListOptions): readonly Platform[] {
  return [
    {
      name: "linux-x64",
      summary: "glibc: both suites, natively",
      prepare: (workplace) => (nativeLogs === undefined ? planNatively(workplace) : planFromLogs(nativeLogs)),
    },
    { name: "linux-x64-musl", summary: "both suites, natively", prepare: planMusl },
    {
      name: "linux-arm64",
      summary: "both suites, under qemu-user",
      prepare: (workplace) => planArm64(workplace, isThorough),
    },
    { name: "win32-x64", summary: "both suites, under wine", prepare: planWindows },
    {
      name: "kqueue",
      summary: "the contract suite on Linux, over libkqueue",
      prepare: (workplace) => planKqueue(workplace, kqueueFolder),
    },
    ...TARGETS.filter(({ name }) => !TESTED.includes(name)).map(({ name, zig }) => ({
      name,
      summary: "compiled only: the library and the contract suite",
      prepare: (workplace: Workplace): Promise<Plan> =>
        Promise.resolve({ how: "compiled only", jobs: [() => compileOnly(workplace, zig)] }),
    })),
  ];
}

/** Those that can run here. The rest of the eight targets is compiled. */
const TESTED: readonly string[] = ["linux-x64", "linux-arm64", "win32-x64"];

async function planNatively(workplace: Workplace): Promise<Plan> {
  requireLinux("x64");
  const environment = { BUN_REACTOR_TEST_PLATFORM: "native" };
  const suite = { workplace, name: "linux-x64", bun: [process.execPath], environment, patience: 1, effort: 1 };
  return { how: "natively", jobs: [() => contractSuite(workplace, []), ...typescriptSuite(suite)] };
}

async function planFromLogs({ bun, zig }: NativeLogs): Promise<Plan> {
  const ended = { exitCode: 0, signal: null, isOverLimit: false, durationMs: 0 };
  const [tests, contracts] = [bun, zig].map((path) => readFileSync(path, "utf8")) as [string, string];
  return {
    how: "natively, from the logs of npm test and zig build test, which count it",
    isCountedElsewhere: true,
    jobs: [
      // Whether they succeeded shows in what they counted.
      () => Promise.resolve(outcomeOfBun({ ...ended, output: tests, exitCode: / 0 fail\b/.test(tests) ? 0 : 1 })),
      () => Promise.resolve(outcomeOfZig({ ...ended, output: contracts })),
    ],
  };
}

async function planMusl(workplace: Workplace): Promise<Plan> {
  requireLinux("x64");
  const folder = await muslBun(workplace.root);
  const environment = {
    PATH: `${folder}:${process.env["PATH"]}`,
    // The library is the same file for glibc and musl, and is found where it is found natively.
    BUN_REACTOR_LIBRARY: undefined,
    BUN_REACTOR_TEST_PLATFORM: "musl",
  };
  const suite = { workplace, name: "linux-x64-musl", bun: [join(folder, "bun")], environment, patience: 1, effort: 1 };
  return {
    how: "natively, with the musl of Debian trixie",
    jobs: [() => contractSuite(workplace, ["-Dtarget=x86_64-linux-musl"]), ...typescriptSuite(suite)],
  };
}

async function planArm64(workplace: Workplace, isThorough: boolean): Promise<Plan> {
  requireLinux();
  const { bun, emulator, ...qemu } = await qemuBun(workplace.root, join(workplace.scratch, "qemu"));
  const environment = {
    ...qemu.environment,
    BUN_REACTOR_LIBRARY: libraryFor(workplace, "linux-arm64"),
    ...(isThorough ? { BUN_REACTOR_TEST_THOROUGH: "1" } : {}),
    // Tests that build something do so with the host's compiler.
    ZIG: workplace.zig,
    BUN_REACTOR_TEST_PLATFORM: "qemu-user",
  };
  const path = { PATH: qemu.environment["PATH"] };
  return {
    how: `under ${emulator}`,
    jobs: [
      () => contractSuite(workplace, ["-Dtarget=aarch64-linux", "-fqemu"], path),
      ...typescriptSuite({ workplace, name: "linux-arm64", bun, environment, ...UNDER_EMULATION }),
    ],
  };
}

async function planWindows(workplace: Workplace): Promise<Plan> {
  requireLinux();
  const wine = await wineBun(workplace.root, join(workplace.scratch, "wine"), workplace.zig);
  const environment = {
    ...wine.environment,
    BUN_REACTOR_LIBRARY: windowsPath(libraryFor(workplace, "win32-x64")),
    BUN_REACTOR_TEST_PLATFORM: "wine",
  };
  return {
    how: `under ${wine.emulator}`,
    jobs: [
      () => contractSuite(workplace, ["-Dtarget=x86_64-windows", "-fwine"], wine.environment),
      ...typescriptSuite({ workplace, name: "win32-x64", bun: wine.bun, environment, ...UNDER_EMULATION }),
    ],
    end: () => endWine(wine),
  };
}

async function planKqueue(workplace: Workplace, folder: string | undefined): Promise<Plan> {
  requireLinux();
  if (folder === undefined)
    throw new MissingError("no libkqueue is given (--kqueue-lib-dir DIR or $BUN_REACTOR_KQUEUE_LIB_DIR)");
  if (!existsSync(join(folder, "libkqueue.so"))) throw new MissingError(`there is no libkqueue.so in ${folder}`);
  return {
    how: "over libkqueue, on Linux",
    jobs: [() => contractSuite(workplace, ["-Dqueue=kqueue", `-Dkqueue-lib-dir=${folder}`])],
  };
}

/** @throws MissingError on another system */
function requireLinux(architecture?: string): void {
  const isIt = process.platform === "linux" && (architecture === undefined || process.arch === architecture);
  if (!isIt)
    throw new MissingError(
      `this is ${process.platform} on ${process.arch}, and it needs Linux${architecture ? ` on ${architecture}` : ""}`,
    );
}

const UNDER_EMULATION = { patience: 4, effort: 0.05 } as const;
