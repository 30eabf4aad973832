import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { findZig, ZIG_VERSION } from "../../scripts/build-native.ts";
import { hashOfNativeSources } from "../../scripts/native-sources.ts";
import { TARGETS } from "../../scripts/targets.ts";
import { UnsupportedError } from "../../src/core/errors.ts";
import { loadLibrary, nativeLibrary, provenanceOf } from "../../src/native/library.ts";
import {
  currentPlatform,
  LIBRARY_VARIABLE,
  refuseUnsupportedPlatform,
  SUPPORTED_PLATFORMS,
} from "../../src/native/library-file.ts";
import { runScript } from "../support/child.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { removeFolder } from "../support/temporary.ts";
import { patient } from "../support/patience.ts";
import { IS_EMULATED, gap, testUnless } from "../support/platform.ts";

/** The compiler may have to share the machine with other tests. */
const COMPILER_LIMIT_MS = patient(60_000);

/** The beginnings of library files, as elf(5), Apple's loader.h and Microsoft's "PE Format" have them. */
const FOREIGN_HEADERS: [platforms: string, header: Uint8Array][] = [
  ["linux-another architecture or freebsd-another architecture", elfHeader(243)],
  [
    process.arch === "x64" ? "linux-arm64 or freebsd-arm64" : "linux-x64 or freebsd-x64",
    elfHeader(process.arch === "x64" ? 183 : 62),
  ],
  ...(process.platform === "darwin"
    ? []
    : ([
        ["darwin-arm64", machHeader(0x01_00_00_0c)],
        ["darwin-x64", machHeader(0x01_00_00_07)],
      ] satisfies [string, Uint8Array][])),
  ...(process.platform === "win32"
    ? []
    : ([
        ["win32-x64", peHeader(0x86_64)],
        ["win32-arm64", peHeader(0xaa_64)],
      ] satisfies [string, Uint8Array][])),
];

function elfHeader(machine: number): Uint8Array {
  const header = Buffer.alloc(64);
  header.write("\x7fELF", "latin1");
  header.writeUInt16LE(machine, 18);
  return header;
}

function machHeader(cpuType: number): Uint8Array {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(0xfe_ed_fa_cf, 0);
  header.writeUInt32LE(cpuType, 4);
  return header;
}

function peHeader(machine: number): Uint8Array {
  const header = Buffer.alloc(256);
  header.write("MZ", "latin1");
  header.writeUInt32LE(128, 60);
  header.write("PE\0\0", 128, "latin1");
  header.writeUInt16LE(machine, 132);
  return header;
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bun-reactor-test-"));
  // The first spawnSync of a process opens an event queue of its own, for good: before any test looks at what is open.
  spawnSync(process.execPath, ["--version"]);
});

afterAll(() => {
  // Windows keeps the file of a library that is loaded.
  if (process.platform !== "win32") removeFolder(folder);
});

/** What every one of these errors must say: how to come by a library that fits. */
function expectAdvice(message: string): void {
  expect(message).toContain("Install bun-reactor anew");
  expect(message).toContain('build the library with "bun run build"');
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
      // Where this runs under an emulator, the compiler does not.
      "-target",
      TARGETS.find(({ name }) => name === currentPlatform())!.zig,
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
  expectNothingLeftBehind();

  test("is loaded once, from an absolute path, and has the functions", () => {
    const library = nativeLibrary();
    expect(nativeLibrary()).toBe(library);
    expect(isAbsolute(library.path)).toBe(true);
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

  testUnless(gap({ win32: "the loader of win32 does not say why" }))(
    "that is no library is an error that names the file, with the loader's reason",
    () => {
      const path = join(folder, "text.so");
      writeFileSync(path, "this is no ELF file\n".repeat(100));
      const error = thrownBy(() => loadLibrary(path));
      expect(error.message).toContain(`${path} cannot be loaded`);
      // In the words of glibc, or of musl.
      expect(error.message).toMatch(/invalid ELF header|Exec format error/);
      expect(error.cause).toBeDefined();
      expectAdvice(error.message);
    },
  );

  test("that is empty or a folder is an error too", () => {
    const empty = join(folder, "empty.so");
    writeFileSync(empty, "");
    for (const path of [empty, folder]) {
      const { message } = thrownBy(() => loadLibrary(path));
      expect(message).toContain(`${path} cannot be loaded`);
      expectAdvice(message);
    }
  });

  testUnless(gap({ win32: "the loader of win32 refuses what is cut off by itself" })).each([100, 4_000, 20_000])(
    "that is cut off is refused before its code could run into the void: %d bytes",
    (bytes) => {
      const cutOff = join(folder, "cut-off.so");
      copyFileSync(nativeLibrary().path, cutOff);
      chmodSync(cutOff, 0o644);
      truncateSync(cutOff, bytes);
      const { message } = thrownBy(() => loadLibrary(cutOff));
      expect(message).toMatch(
        new RegExp(`cut-off\\.so cannot be loaded: it is cut off after ${bytes} of at least \\d+ bytes`),
      );
      expectAdvice(message);
    },
  );

  test("that cannot be reached is an error that names it", () => {
    const path = join(folder, "loop.so");
    symlinkSync(path, path);
    expect(thrownBy(() => loadLibrary(path)).message).toContain(`${path} does not exist`);
    const through = join(nativeLibrary().path, "library.so");
    expect(thrownBy(() => loadLibrary(through)).message).toContain(`${through} does not exist`);
  });

  test.each(FOREIGN_HEADERS)("for another platform is an error that names both: %s", (platforms, header) => {
    const path = join(folder, "foreign.so");
    writeFileSync(path, header);
    const { message } = thrownBy(() => loadLibrary(path));
    expect(message).toContain(
      `${path} cannot be loaded: it is built for ${platforms}, and this is ${currentPlatform()}`,
    );
    expectAdvice(message);
  });

  test("that is missing is an error that lists what was tried before, and ends with the advice for where it is from", () => {
    const path = join(folder, "nowhere.so");
    const lookUp = { tried: ["/first does not exist", "/second does not exist"], advice: "Set TMPDIR." };
    const { message } = thrownBy(() => loadLibrary(path, lookUp));
    expect(message).toEndWith("Tried before it: /first does not exist; /second does not exist. Set TMPDIR.");
  });

  test("of something else is an error that names the missing function", () => {
    const { message } = thrownBy(() => loadLibrary("/proc/self/exe"));
    expect(message).toContain("/proc/self/exe cannot be loaded");
    expectAdvice(message);
  });

  testUnless(gap({ wine: "there is no compiler under wine" }))(
    "of another ABI version is an error that tells both versions",
    () => {
      const path = buildImpostor("other-version", 4711, [64, 128, 16, 32, 16]);
      const { message } = thrownBy(() => loadLibrary(path));
      expect(message).toMatch(/other-version\.so has ABI version 4711, but \d+ is needed/);
      expectAdvice(message);
    },
    COMPILER_LIMIT_MS,
  );

  testUnless(gap({ wine: "there is no compiler under wine" }))(
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

  test("may be relative to the folder in which the library is first needed, for the reactor thread as well", async () => {
    const copy = join(folder, "relative.so");
    copyFileSync(nativeLibrary().path, copy);
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const child = await runScript(
      `import { run, sleep } from "./src/index.ts";
       await run(() => sleep(0));
       process.chdir("/");
       await run(() => sleep(1));
       console.log("ran");`,
      { environment: { [LIBRARY_VARIABLE]: relative(root, copy) } },
    );
    expect(child).toMatchObject({ exitCode: 0, stderr: "", stdout: "ran\n" });
  });

  test("that names no file rejects a run with the advice, and importing the package works all the same", async () => {
    const missing = join(folder, "missing.so");
    const child = await runScript(importAndRun, { environment: { [LIBRARY_VARIABLE]: missing } });
    expect(child).toMatchObject({ exitCode: 0, stderr: "" });
    expect(child.stdout).toContain(`${missing} does not exist`);
    expectAdvice(child.stdout);
  });

  testUnless(IS_EMULATED ? "the local build is for the host" : null)("that is empty counts as not set", async () => {
    const child = await runScript(importAndRun, { environment: { [LIBRARY_VARIABLE]: "" } });
    expect(child).toMatchObject({ exitCode: 0, stderr: "", stdout: "ran\n" });
  });
});

describe("a platform", () => {
  test.each(SUPPORTED_PLATFORMS)("that is supported is let through: %s", (platform) => {
    expect(() => refuseUnsupportedPlatform(platform)).not.toThrow();
  });

  test.each(["linux-riscv64", "openbsd-x64", "win32-ia32", "sunos-x64", ""])(
    "that is not is refused: %p",
    (platform) => {
      const { message } = thrownBy(() => refuseUnsupportedPlatform(platform), UnsupportedError);
      expect(message).toContain(`bun-reactor has no native library for ${platform}: it runs on `);
      for (const supported of SUPPORTED_PLATFORMS) expect(message).toContain(supported);
    },
  );
});

describe("the provenance", () => {
  testUnless(gap({ wine: "there is no compiler under wine, which this test asks" }))(
    "tells the version, the compiler, the platform and the sources, and is in the file as text",
    () => {
      const library = nativeLibrary();
      const provenance = provenanceOf(library);
      const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
      const os = { darwin: "macos", win32: "windows" }[process.platform as string] ?? process.platform;
      const cpu = process.arch === "x64" ? "x86_64" : "aarch64";
      const sources = hashOfNativeSources(fileURLToPath(new URL("../../zig", import.meta.url)));
      expect(provenance.replace("ReleaseSmall", "ReleaseFast")).toBe(
        `bun-reactor ${version} zig=${ZIG_VERSION} target=${cpu}-${os} optimize=ReleaseFast sources=${sources}`,
      );
      expect(readFileSync(library.path).includes(`${provenance}\0`)).toBe(true);
    },
  );
});
