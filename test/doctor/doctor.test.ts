/** `bun-reactor doctor`: what it finds out, what it says of it, and the exit code. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Report } from "../../src/doctor/examine.ts";
import { descriptorLimit } from "../../src/doctor/limits.ts";
import { show } from "../../src/doctor/show.ts";
import { nativeLibrary, provenanceOf } from "../../src/native/library.ts";
import { currentPlatform, LIBRARY_VARIABLE } from "../../src/native/library-file.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testUnless } from "../support/platform.ts";
import { withoutNoise } from "../support/noise.ts";

const COMMAND = fileURLToPath(new URL("../../src/bin.ts", import.meta.url));

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function bunReactor(
  commandArguments: readonly string[],
  env: Record<string, string> = {},
  bunArguments: readonly string[] = [],
): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, ...bunArguments, COMMAND, ...commandArguments], {
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, [LIBRARY_VARIABLE]: undefined, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, stdout, stderr: withoutNoise(stderr) };
}

const HEALTHY: Report = {
  isHealthy: true,
  problems: [],
  remarks: [],
  version: "1.2.3",
  platform: "linux-x64",
  kernel: "6.1.0",
  bun: { version: "1.4.5", path: "/bin/bun" },
  library: {
    path: "/lib/libbun_reactor.so",
    origin: "package",
    tried: ["$BUN_REACTOR_LIBRARY is not set"],
    abiVersion: 4,
    provenance: "bun-reactor 1.2.3 zig=0.16.0",
  },
  eventQueue: "epoll",
  descriptors: { soft: 1024, hard: 4096 },
  selfTests: [
    { name: "run", isPassed: true, problem: null },
    { name: "blockOn", isPassed: true, problem: null },
  ],
};

/** These look for the library as a user's program does. */
const LIBRARY_IS_NAMED =
  (process.env[LIBRARY_VARIABLE] ?? "") === ""
    ? null
    : `the only library for this platform is the one that $${LIBRARY_VARIABLE} names`;

describe("bun-reactor doctor", () => {
  expectNothingLeftBehind();

  testUnless(LIBRARY_IS_NAMED)("tells what it runs on and with, and that all is well", async () => {
    const { exitCode, stdout, stderr } = await bunReactor(["doctor"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain(`${currentPlatform()}, kernel ${release()}`);
    expect(stdout).toContain(`${Bun.version}, `);
    expect(stdout).toContain(nativeLibrary().path);
    expect(stdout).toContain(provenanceOf(nativeLibrary()));
    expect(stdout).toMatch(/run +echo over loopback works\n +blockOn +echo over loopback works\n/);
    expect(stdout).toEndWith("healthy: bun-reactor works here\n");
  });

  testUnless(LIBRARY_IS_NAMED)("tells programs the same", async () => {
    const { exitCode, stdout } = await bunReactor(["doctor", "--json"]);
    expect(exitCode).toBe(0);
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({
      isHealthy: true,
      problems: [],
      platform: currentPlatform(),
      kernel: release(),
      bun: { version: Bun.version },
      library: {
        path: nativeLibrary().path,
        origin: "checkout",
        abiVersion: nativeLibrary().functions.bun_reactor_abi_version(),
        provenance: provenanceOf(nativeLibrary()),
      },
      selfTests: HEALTHY.selfTests,
    });
    expect(report.library!.tried[0]).toBe(`$${LIBRARY_VARIABLE} is not set`);
  });

  test("says that a library was named by the environment", async () => {
    const { path } = nativeLibrary();
    const { stdout } = await bunReactor(["doctor", "--json"], { [LIBRARY_VARIABLE]: path });
    expect((JSON.parse(stdout) as Report).library).toMatchObject({ path, origin: "environment", tried: [] });
  });

  test("ends with 1 if there is no library that can be loaded, and says why", async () => {
    using folder = temporaryFolder();
    const path = join(folder.name, "text.so");
    writeFileSync(path, "no library at all");
    const told = await bunReactor(["doctor"], { [LIBRARY_VARIABLE]: path });
    expect(told).toMatchObject({ exitCode: 1, stderr: "" });
    expect(told.stdout).toContain(`problem: the native library ${path} cannot be loaded`);
    expect(told.stdout).toEndWith("broken: bun-reactor does not work here\n");
    const { exitCode, stdout } = await bunReactor(["doctor", "--json"], { [LIBRARY_VARIABLE]: path });
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ isHealthy: false, library: null, selfTests: [] });
  });

  testUnless(LIBRARY_IS_NAMED)(
    "finds a fault that only a test of itself can find: here, no Worker can be started",
    async () => {
      using folder = temporaryFolder();
      const preload = join(folder.name, "no-workers.ts");
      writeFileSync(
        preload,
        `const threads = process.getBuiltinModule("node:worker_threads");
       threads.Worker = class { constructor() { throw new Error("no Workers today"); } };`,
      );
      const { exitCode, stdout } = await bunReactor(["doctor"], {}, ["--preload", preload]);
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(/run +echo over loopback FAILED\n +blockOn +echo over loopback works\n/);
      expect(stdout).toMatch(/problem: the echo over loopback with run failed: .*no Workers today/);
      expect(stdout).toEndWith("broken: bun-reactor does not work here\n");
    },
  );
});

describe("the command", () => {
  expectNothingLeftBehind();

  test.each([
    [[], "what is to be done?"],
    [["heal"], "there is no command heal"],
    [["doctor", "--yaml"], "there is no option --yaml"],
    [["doctor", "--json", "now"], "there is no option now"],
  ])("without sense gets a usage line and ends with 2: %p", async (commandArguments, complaint) => {
    expect(await bunReactor(commandArguments)).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `bun-reactor: ${complaint}\nusage: bun-reactor doctor [--json]\n`,
    });
  });

  test.each(["--help", "-h"])("explains itself: %s", async (option) => {
    const { exitCode, stdout, stderr } = await bunReactor([option]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toStartWith("usage: bun-reactor doctor [--json]\n\ndoctor looks at the platform");
  });
});

describe("the report", () => {
  test("of a healthy machine", () => {
    expect(show(HEALTHY)).toBe(`bun-reactor 1.2.3

  platform     linux-x64, kernel 6.1.0
  Bun          1.4.5, /bin/bun
  library      /lib/libbun_reactor.so
               the package's own; $BUN_REACTOR_LIBRARY is not set
  ABI version  4
  made of      bun-reactor 1.2.3 zig=0.16.0
  event queue  epoll
  descriptors  1024 at most, 4096 if raised
  run          echo over loopback works
  blockOn      echo over loopback works

healthy: bun-reactor works here
`);
  });

  test("of one without a limit of descriptors says so", () => {
    const text = show({ ...HEALTHY, descriptors: { soft: 256, hard: "unlimited" } });
    expect(text).toContain("  descriptors  256 at most, unlimited if raised\n");
  });

  test("of one with problems names each of them", () => {
    const text = show({
      ...HEALTHY,
      isHealthy: false,
      problems: ["the first", "the second"],
      remarks: ["slow, perhaps"],
      library: null,
      descriptors: null,
      selfTests: [{ name: "run", isPassed: false, problem: "the first" }],
    });
    expect(text).toContain("  library      none\n");
    expect(text).toContain("  descriptors  no limit known\n  run          echo over loopback FAILED\n");
    expect(text).toEndWith(
      "\nnote: slow, perhaps\nproblem: the first\nproblem: the second\nbroken: bun-reactor does not work here\n",
    );
  });

  test.skipIf(process.platform === "win32")("has the limit of descriptors that the shell has", () => {
    const limit = descriptorLimit()!;
    const shell = Bun.spawnSync(["/bin/sh", "-c", "ulimit -n"]).stdout.toString().trim();
    expect(String(limit.soft)).toBe(shell);
    for (const value of [limit.soft, limit.hard]) expect(value === "unlimited" || value > 0).toBe(true);
  });
});
