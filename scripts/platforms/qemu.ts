/**
 * Bun for arm64 under qemu-user.
 *
 * The kernel cannot start a program of another architecture, so what starts Bun has to start qemu: a script named `bun`,
 * which is the first on the PATH, and of which a preloaded module makes `process.execPath` as well.
 *
 * Debian 12 has version 7.2, which knows no termios2, no membership of multicast groups and more. Version 10 is fetched
 * where the system's is older.
 */

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bunOfPackage } from "./bun-package.ts";
import { unpackFromNewerDebian } from "./debian.ts";
import type { Emulated } from "./emulated.ts";
import { fetchedOnce } from "./fetching.ts";
import { MissingError } from "./missing.ts";
import { firstLineOf } from "./run.ts";

/** An emulated Bun, and the folder in which the programs `bun` and `qemu-aarch64` are. */
export interface Arm64 extends Emulated {
  readonly folder: string;
}

/**
 * Writes the script into a folder.
 *
 * @throws MissingError if there is no qemu, or no glibc for arm64
 */
export async function qemuBun(root: string, folder: string): Promise<Arm64> {
  for (const library of ["libc.so.6", "libstdc++.so.6"])
    if (!existsSync(join(ARM64_ROOT, "lib", library)))
      throw new MissingError(
        `no ${library} for arm64 (Debian's packages libc6-arm64-cross and libstdc++6-arm64-cross)`,
      );
  const bun = await bunOfPackage(root, "@oven/bun-linux-aarch64");
  const { qemu, version } = await findQemu(root);
  mkdirSync(folder, { recursive: true });
  const scripts = {
    bun: `exec '${qemu}' -L ${ARM64_ROOT} '${bun}' "$@"`,
    bunx: `exec '${qemu}' -L ${ARM64_ROOT} '${bun}' x "$@"`,
    // What `zig build -fqemu` starts.
    "qemu-aarch64": `exec '${qemu}' "$@"`,
  };
  for (const [name, command] of Object.entries(scripts))
    writeFileSync(join(folder, name), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  return {
    folder,
    bun: [join(folder, "bun")],
    environment: {
      PATH: `${folder}:${process.env["PATH"]}`,
      BUN_OPTIONS: `--preload=${join(root, "scripts", "platforms", "emulation-preload.ts")}`,
      BUN_REACTOR_TEST_BUN: join(folder, "bun"),
      // Its last compiler costs more here than it gains: a quarter of the time of all tests.
      BUN_JSC_useFTLJIT: "0",
    },
    emulator: `qemu-user ${version}`,
  };
}

/** The system's, or that of a newer Debian. */
async function findQemu(root: string): Promise<{ readonly qemu: string; readonly version: string }> {
  const own = versionOf("qemu-aarch64");
  if (own !== null && Number.parseInt(own, 10) >= LEAST_VERSION)
    return { qemu: Bun.which("qemu-aarch64")!, version: own };
  const fetched = await fetchedOnce(root, "qemu", (unfinished) => keepOne(unfinished));
  const qemu = join(fetched, "qemu-aarch64");
  const version = versionOf(qemu);
  if (version === null) throw new MissingError("the qemu-aarch64 of a newer Debian does not run here");
  return { qemu, version };
}

/** Of its many programs one is kept. */
async function keepOne(folder: string): Promise<void> {
  const fetched = join(folder, "fetched");
  mkdirSync(fetched);
  await unpackFromNewerDebian("qemu-user", fetched);
  renameSync(join(fetched, "usr", "bin", "qemu-aarch64"), join(folder, "qemu-aarch64"));
  rmSync(fetched, { recursive: true });
}

function versionOf(qemu: string): string | null {
  return /version (\S+)/.exec(firstLineOf([qemu, "--version"]) ?? "")?.[1] ?? null;
}

const LEAST_VERSION = 10;

/** Where Debian has what is for arm64. */
const ARM64_ROOT = "/usr/aarch64-linux-gnu";
