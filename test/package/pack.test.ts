/** `bun run pack`: what is in the tarball, how large it is, and that the same sources give the same bytes. */

import { expect, setDefaultTimeout } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findZig } from "../../scripts/build-native.ts";
import { hashOfNativeSources } from "../../scripts/native-sources.ts";
import { importsOf } from "../../scripts/pack/imports.ts";
import { buildLibrary, LIBRARY_LIMIT_BYTES } from "../../scripts/pack/libraries.ts";
import { pack, type Package, TARBALL_LIMIT_BYTES } from "../../scripts/pack.ts";
import { TARGETS } from "../../scripts/targets.ts";
import { SUPPORTED_PLATFORMS } from "../../src/native/library-file.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { afterAll, beforeAll, describe, test } from "./support/natively.ts";
import { environmentOfUser, Project, runIn } from "./support/project.ts";
import {
  PACK_LIMIT_MS,
  packedTarball,
  ROOT,
  secondCheckout,
  TEST_TARGETS,
  PROGRAMS_LIMIT_MS,
} from "./support/tarball.ts";

setDefaultTimeout(PROGRAMS_LIMIT_MS);

/** Eight libraries at a few seconds each, on a machine that has other things to do as well. */
const ALL_LIMIT_MS = 300_000;

const LIBRARY_FOLDERS = { zigFolder: join(ROOT, "zig"), outputFolder: join(ROOT, "build", "targets") };

describe("a library", () => {
  test.each(TARGETS.map((target) => [target.name, target] as const))(
    "is small, and says what it was made of and for: %s",
    (_name, target) => {
      const { content } = buildLibrary(target, LIBRARY_FOLDERS);
      expect(content.length).toBeLessThanOrEqual(LIBRARY_LIMIT_BYTES);
      const provenance = /bun-reactor \S+ zig=\S+ target=(\S+) optimize=(\S+) sources=([0-9a-f]{64})\0/.exec(
        Buffer.from(content).toString("latin1"),
      );
      // ReleaseSmall where the system's large pages leave no room for more.
      expect(provenance?.slice(1, 3)).toEqual([target.zig, expect.stringMatching(/^Release(Fast|Small)$/)]);
    },
    PACK_LIMIT_MS,
  );

  test("of a target that is none is an error", () => {
    using folder = temporaryFolder();
    const target = { ...TARGETS[0]!, name: "nowhere", zig: "x86_64-nowhere" };
    expect(() => buildLibrary(target, { ...LIBRARY_FOLDERS, outputFolder: folder.name })).toThrow(
      /`zig build -Dtarget=x86_64-nowhere .*` in .* failed \(exit code/,
    );
  });
});

describe("what a library wants of its system", () => {
  const WRITE = 'extern "c" fn write(c_int, [*]const u8, usize) isize; export fn call() void { _ = write(1, "x", 1); }';
  const BEEP =
    'extern "user32" fn MessageBeep(c_uint) callconv(.winapi) c_int; export fn call() void { _ = MessageBeep(0); }';
  const PROGRAMS: [target: string, source: string, library: string, symbols: string[]][] = [
    ["x86_64-linux-musl", WRITE, "libc.so", ["write"]],
    ["aarch64-macos", WRITE, "/usr/lib/libSystem.B.dylib", []],
    ["x86_64-windows", BEEP, "USER32.dll", []],
  ];

  test.each(PROGRAMS)(
    "is read from its file: %s",
    (target, source, wanted, symbols) => {
      using folder = temporaryFolder();
      const program = join(folder.name, "wants.zig");
      writeFileSync(program, source);
      const library = join(folder.name, "library");
      const build = ["build-lib", "-dynamic", "-OReleaseSmall", "-fstrip", "-target", target, `-femit-bin=${library}`];
      const linked = target.endsWith("windows") ? build.concat("-luser32") : build.concat("-lc");
      const { status, stderr } = spawnSync(findZig(), [...linked, program], { cwd: folder.name, encoding: "utf8" });
      expect({ status, stderr }).toMatchObject({ status: 0 });
      const imports = importsOf(readFileSync(library));
      expect(imports.libraries).toContain(wanted);
      expect(imports.symbols).toEqual(symbols);
    },
    PACK_LIMIT_MS,
  );

  test("cannot be told of a file that is no library", () => {
    expect(() => importsOf(new TextEncoder().encode("no library at all"))).toThrow("no library of a known format");
  });
});

describe("the package", () => {
  let everything: Package;
  let paths: string[];

  beforeAll(async () => {
    everything = await pack();
    paths = everything.files.map(({ path }) => path);
  }, ALL_LIMIT_MS);

  const contentOf = (path: string): string => {
    const { content } = everything.files.find((file) => file.path === path)!;
    return typeof content === "string" ? content : Buffer.from(content).toString("utf8");
  };

  test("has all platforms' libraries in one small tarball", () => {
    for (const { name, libraryFile } of TARGETS) expect(paths).toContain(`native/${name}/${libraryFile}`);
    expect(everything.libraries.map(({ target }) => target.name)).toEqual([...SUPPORTED_PLATFORMS]);
    expect(everything.tarball.length).toBeLessThanOrEqual(TARBALL_LIMIT_BYTES);
  });

  test("has a manifest for users: entries, platforms, no dependencies and no scripts", () => {
    const manifest = JSON.parse(contentOf("package.json"));
    expect(manifest).toMatchObject({
      name: "bun-reactor",
      type: "module",
      sideEffects: false,
      engines: { bun: ">=1.4.5" },
      os: ["linux", "darwin", "freebsd", "win32"],
      cpu: ["x64", "arm64"],
      bin: { "bun-reactor": "./dist/bin.js" },
    });
    for (const absent of ["dependencies", "devDependencies", "peerDependencies", "scripts", "private"]) {
      expect(manifest).not.toHaveProperty(absent);
    }
    const named = [manifest.exports["."], manifest.exports["./test"], manifest.bin].flatMap((entry) =>
      Object.values(entry),
    );
    for (const path of named) expect(paths).toContain(String(path).slice("./".length));
  });

  test("imports nothing that is not in it", () => {
    for (const path of paths.filter((name) => /\.(js|d\.ts)$/.test(name))) {
      for (const [, specifier = ""] of contentOf(path).matchAll(/(?:from|import\(|require\()\s*"(\.[^"]*)"/g)) {
        const target = join(dirname(path), specifier).replaceAll("\\", "/");
        const file = path.endsWith(".d.ts") ? target.replace(/\.js$/, ".d.ts") : target;
        expect({ path, file, isThere: paths.includes(file) }).toMatchObject({ isThere: true });
      }
    }
  });

  test("has the documents that its documents link to", () => {
    for (const path of paths.filter((name) => name.endsWith(".md"))) {
      for (const [, link = ""] of contentOf(path).matchAll(/\]\(([^)#:]+\.\w+)(?:#[^)]*)?\)/g)) {
        const target = join(dirname(path), link).replaceAll("\\", "/");
        expect({ path, link, isThere: paths.includes(target) }).toMatchObject({ isThere: true });
      }
    }
  });

  test("says in its own names of files what a user may open, and nothing of tests or of this machine", () => {
    expect(paths.filter((path) => !/^(dist|native|docs)\/|^(package\.json|[A-Z]+\.md|LICENSE)$/.test(path))).toEqual(
      [],
    );
    for (const { path, content } of everything.files) {
      expect({ path, hasPath: Buffer.from(content as string).includes(ROOT) }).toEqual({ path, hasPath: false });
    }
  });
});

describe("a second checkout", () => {
  let checkout: string;
  const zigFolder = (): string => join(checkout, "zig");

  beforeAll(async () => {
    checkout = await secondCheckout();
  }, PACK_LIMIT_MS);

  /** Does something while a file of the checkout is another one. */
  async function whileChanged(file: string, change: (text: string) => string, body: () => unknown): Promise<void> {
    const path = join(checkout, file);
    const before = readFileSync(path, "utf8");
    writeFileSync(path, change(before));
    try {
      await body();
    } finally {
      writeFileSync(path, before);
    }
  }

  test(
    "gives the same bytes",
    async () => {
      const here = await Bun.file(await packedTarball()).bytes();
      const there = await pack({ root: checkout, targets: TEST_TARGETS });
      expect(there.libraries[0]!.path).toStartWith(checkout);
      expect(Buffer.from(there.tarball).equals(here)).toBe(true);
    },
    PACK_LIMIT_MS,
  );

  // One of each format of files; those of Linux are in the tarballs above.
  test.each(["darwin-arm64", "freebsd-x64", "win32-x64"])(
    "gives the same library: %s",
    (name) => {
      const target = TARGETS.find((known) => known.name === name)!;
      const folders = { zigFolder: zigFolder(), outputFolder: join(checkout, "build", "targets") };
      expect(buildLibrary(target, folders).content).toEqual(buildLibrary(target, LIBRARY_FOLDERS).content);
    },
    PACK_LIMIT_MS,
  );

  test("has the same hash of its native sources, and another one when a name or a content has changed", async () => {
    const hash = hashOfNativeSources(zigFolder());
    expect(hash).toBe(hashOfNativeSources(LIBRARY_FOLDERS.zigFolder));
    await whileChanged(
      "zig/src/clock.zig",
      (text) => `${text}\n`,
      () => expect(hashOfNativeSources(zigFolder())).not.toBe(hash),
    );
    const extra = join(zigFolder(), "src", "extra.zig");
    writeFileSync(extra, "");
    expect(hashOfNativeSources(zigFolder())).not.toBe(hash);
    rmSync(extra);
    expect(hashOfNativeSources(zigFolder())).toBe(hash);
  });

  test.each([
    ["is too large", "export const ballast: [100_000]u8 = @splat(7);", /has 1\d{5} bytes, and 65536 at most will do/],
    [
      "wants a C library on Linux",
      "extern fn getpid() i32;\nexport fn own_pid() i32 {\n    return getpid();\n}",
      /wants getpid, and no library that would have it/,
    ],
  ])(
    "is refused if its library %s",
    async (_fault, code, message) => {
      const linux = TARGETS.find(({ name }) => name === "linux-x64")!;
      using output = temporaryFolder();
      await whileChanged(
        "zig/src/clock.zig",
        (text) => `${text}\n${code}\n`,
        () => {
          const folders = { zigFolder: zigFolder(), outputFolder: output.name };
          expect(() => buildLibrary(linux, folders)).toThrow(message);
        },
      );
    },
    PACK_LIMIT_MS,
  );

  test("is refused if its library is of another version", () =>
    whileChanged(
      "package.json",
      (text) => text.replace('"version": "', '"version": "9'),
      () =>
        expect(pack({ root: checkout, targets: [] })).rejects.toThrow(
          /package\.json has version 9\S+, and zig\/build\.zig\.zon has/,
        ),
    ));
});

describe("the tools that look at packages", () => {
  let project: Project;

  beforeAll(async () => {
    project = await Project.install();
  }, PACK_LIMIT_MS);
  afterAll(() => project[Symbol.dispose]());

  const tool = (name: string, ...toolArguments: string[]) =>
    runIn(ROOT, [process.execPath, "--bun", "x", "--no-install", name, ...toolArguments], {
      environment: environmentOfUser(),
    });

  test("publint finds nothing to say", async () => {
    const { exitCode, stdout } = await tool(
      "publint",
      "--strict",
      "--pack",
      "false",
      join(project.folder, "node_modules/bun-reactor"),
    );
    expect(stdout).toContain("All good!");
    expect(exitCode).toBe(0);
  });

  test("are the types wrong? They are not, for modules: Bun has no others", async () => {
    const { exitCode, stdout } = await tool(
      "attw",
      await packedTarball(),
      "--profile",
      "esm-only",
      "--format",
      "ascii",
    );
    expect(stdout).toContain("(ESM)");
    expect({ exitCode, stdout: exitCode === 0 ? "" : stdout }).toEqual({ exitCode: 0, stdout: "" });
  });
});
