// The platforms that the package has a native library for, named as Node.js names them.

import { libraryFileName, SUPPORTED_PLATFORMS } from "../src/native/library-file.ts";

export interface Target {
  /** `process.platform`-`process.arch`. */
  readonly name: string;
  readonly os: string;
  readonly cpu: string;
  /** The same in Zig's words. On Linux one file serves glibc and musl alike, because it has no C library. */
  readonly zig: string;
  /** What the library file is called there. */
  readonly libraryFile: string;
}

const ZIG_TARGETS: Readonly<Record<(typeof SUPPORTED_PLATFORMS)[number], string>> = {
  "linux-x64": "x86_64-linux",
  "linux-arm64": "aarch64-linux",
  "darwin-x64": "x86_64-macos",
  "darwin-arm64": "aarch64-macos",
  "freebsd-x64": "x86_64-freebsd",
  "freebsd-arm64": "aarch64-freebsd",
  "win32-x64": "x86_64-windows",
  "win32-arm64": "aarch64-windows",
};

export const TARGETS: readonly Target[] = SUPPORTED_PLATFORMS.map((name) => {
  const [os = "", cpu = ""] = name.split("-");
  return { name, os, cpu, zig: ZIG_TARGETS[name], libraryFile: libraryFileName(os) };
});
