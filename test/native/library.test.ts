import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findZig } from "../../scripts/build-native.ts";
import { UnsupportedError } from "../../src/core/errors.ts";
import { LIBRARY_VARIABLE, loadLibrary, nativeLibrary, refuseUnsupportedPlatform } from "../../src/native/library.ts";
import { runScript } from "../support/child.ts";
import { thrownBy } from "../support/failure.ts";
import { patient } from "../support/patience.ts";

/** The compiler may have to share the machine with other tests. */
const COMPILER_LIMIT_MS = patient(60_000);

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bun-reactor-test-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What every one of these errors must say: how to come by a library that fits. */
function expectAdvice(message: string): void {
  expect(message).toContain('Build it with "bun run build"');
  expect(message).toContain(`$${LIBRARY_VARIABLE}`);
}

/** Builds a library that exports no more than a version and sizes. */
function buildImpostor(name: string, version: number, sizes: readonly number[]): string {
  const source = join(folder, `${name}.zig`);
  const library = join(folder, `${name}.so`);
  const cases = sizes.map((bytes, structure) => `${structure} => ${bytes},`).join(" ");
  writeFileSync(
    source,
    `export fn bun_reactor_abi_version() u32 { return ${version}; }
     export fn bun_reactor_size_bytes(structure: u32) u32 { return switch (structure) { ${cases} else => 0 }; }`,
  );
  const cache = join(folder, "cache");
  const { status, stderr } = spawnSync(
    findZig(),
    [
      "build-lib",
      "-dynamic",
      "-OReleaseSmall",
      "-fstrip",
      "-fno-compiler-rt",
      "-fno-ubsan-rt",
      `-femit-bin=${library}`,
      "--cache-dir",
      cache,
      "--global-cache-dir",
      cache,
      source,
    ],
    { encoding: "utf8", cwd: folder },
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return library;
}

describe("the native library", () => {
  test("is loaded once, from an absolute path, and has the functions", () => {
    const library = nativeLibrary();
    expect(nativeLibrary()).toBe(library);
    expect(library.path).toStartWith("/");
    expect(library.functions.bun_reactor_abi_version()).toBeGreaterThan(0);
    expect(library.functions.bun_reactor_size_bytes(99)).toBe(0);
    expect(library.functions.clock_monotonic_ns()).toBeGreaterThan(0);
  });

  test("that is missing is an error that names the file and says what to do", () => {
    const path = join(folder, "nowhere.so");
    const { message } = thrownBy(() => loadLibrary(path));
    expect(message).toContain(`${path} does not exist`);
    expectAdvice(message);
  });

  test("that is no library is an error that names the file, with the loader's reason", () => {
    const path = join(folder, "text.so");
    writeFileSync(path, "this is no ELF file\n".repeat(100));
    const error = thrownBy(() => loadLibrary(path));
    expect(error.message).toContain(`${path} cannot be loaded`);
    // In the words of glibc, or of musl.
    expect(error.message).toMatch(/invalid ELF header|Exec format error/);
    expect(error.cause).toBeDefined();
    expectAdvice(error.message);
  });

  test("that is empty, cut off or a folder is an error too", () => {
    const empty = join(folder, "empty.so");
    writeFileSync(empty, "");
    const cutOff = join(folder, "cut-off.so");
    copyFileSync(nativeLibrary().path, cutOff);
    chmodSync(cutOff, 0o644);
    truncateSync(cutOff, 100);
    for (const path of [empty, cutOff, folder]) {
      const { message } = thrownBy(() => loadLibrary(path));
      expect(message).toContain(`${path} cannot be loaded`);
      expectAdvice(message);
    }
  });

  test("of something else is an error that names the missing function", () => {
    const { message } = thrownBy(() => loadLibrary("/proc/self/exe"));
    expect(message).toContain("/proc/self/exe cannot be loaded");
    expectAdvice(message);
  });

  test(
    "of another ABI version is an error that tells both versions",
    () => {
      const path = buildImpostor("other-version", 4711, [64, 128, 16, 32, 16]);
      const { message } = thrownBy(() => loadLibrary(path));
      expect(message).toMatch(/other-version\.so has ABI version 4711, but \d+ is needed/);
      expectAdvice(message);
    },
    COMPILER_LIMIT_MS,
  );

  test(
    "of the same version whose structures have other sizes is an error that tells both sizes",
    () => {
      const version = nativeLibrary().functions.bun_reactor_abi_version();
      const path = buildImpostor("other-sizes", version, [64, 128, 24, 32, 16]);
      const { message } = thrownBy(() => loadLibrary(path));
      expect(message).toContain("has 24 bytes for structure 2, but 16 are needed");
      expectAdvice(message);
    },
    COMPILER_LIMIT_MS,
  );

  test("that fits may lie anywhere", () => {
    const path = join(folder, "copy.so");
    copyFileSync(nativeLibrary().path, path);
    expect(loadLibrary(path).functions.bun_reactor_abi_version()).toBe(
      nativeLibrary().functions.bun_reactor_abi_version(),
    );
  });
});

describe(`$${LIBRARY_VARIABLE}`, () => {
  const importAndRun = `
    import { run, sleep } from "./src/index.ts";
    try {
      await run(() => sleep(0));
      console.log("ran");
    } catch (error) {
      console.log(error.message);
    }
  `;

  test("names the file that is loaded, in a process of its own", async () => {
    const copy = join(folder, "chosen.so");
    copyFileSync(nativeLibrary().path, copy);
    const child = await runScript(importAndRun, { environment: { [LIBRARY_VARIABLE]: copy } });
    expect(child).toMatchObject({ exitCode: 0, stderr: "", stdout: "ran\n" });
  });

  test("that names no file rejects a run with the advice, and importing the package works all the same", async () => {
    const missing = join(folder, "missing.so");
    const child = await runScript(importAndRun, { environment: { [LIBRARY_VARIABLE]: missing } });
    expect(child).toMatchObject({ exitCode: 0, stderr: "" });
    expect(child.stdout).toContain(`${missing} does not exist`);
    expectAdvice(child.stdout);
  });

  test("that is empty counts as not set", async () => {
    const child = await runScript(importAndRun, { environment: { [LIBRARY_VARIABLE]: "" } });
    expect(child).toMatchObject({ exitCode: 0, stderr: "", stdout: "ran\n" });
  });
});

describe("a platform", () => {
  test.each(["linux-x64", "linux-arm64"])("that is supported is let through: %s", (platform) => {
    expect(() => refuseUnsupportedPlatform(platform)).not.toThrow();
  });

  test.each(["darwin-arm64", "win32-x64", "freebsd-x64", "linux-riscv64", ""])(
    "that is not is refused: %p",
    (platform) => {
      const { message } = thrownBy(() => refuseUnsupportedPlatform(platform), UnsupportedError);
      expect(message).toContain(`no native library for ${platform} yet`);
      expect(message).toContain("linux-x64 and linux-arm64");
    },
  );
});
