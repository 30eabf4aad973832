/** `bun run pack`: what is in the tarball, how large it is, and that the same sources give the same bytes. */

import { expect } from "bun:test";
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildLibrary, LIBRARY_LIMIT_BYTES } from "../../scripts/pack/libraries.ts";
import { pack, type Package, TARBALL_LIMIT_BYTES } from "../../scripts/pack.ts";
import { TARGETS } from "../../scripts/targets.ts";
import { SUPPORTED_PLATFORMS } from "../../src/native/library-file.ts";
import { temporaryFolder, type TemporaryPath } from "../support/temporary.ts";
import {} from "./support/natively.ts";
import { afterAll, beforeAll, describe, test } from "./support/natively.ts";
import { environmentOfUser, Project, runIn } from "./support/project.ts";
import { PACK_LIMIT_MS, packedTarball, ROOT, TEST_TARGETS } from "./support/tarball.ts";

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
      expect(provenance?.slice(1, 3)).toEqual([target.zig, "ReleaseFast"]);
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

  test("says in its own names of files what a user may open, and nothing of tests or of this machine", () => {
    expect(paths.filter((path) => !/^(dist|native|docs)\/|^(package\.json|README\.md|LICENSE)$/.test(path))).toEqual(
      [],
    );
    for (const { path, content } of everything.files) {
      expect({ path, hasPath: Buffer.from(content as string).includes(ROOT) }).toEqual({ path, hasPath: false });
    }
  });
});

describe("two packs", () => {
  let copy: TemporaryPath;

  beforeAll(() => {
    copy = temporaryFolder();
    for (const name of ["src", "scripts", "docs", "zig/src", "zig/build.zig", "zig/build.zig.zon"]) {
      cpSync(join(ROOT, name), join(copy.name, name), { recursive: true });
    }
    for (const name of ["package.json", "tsconfig.json", "README.md", "LICENSE"]) {
      cpSync(join(ROOT, name), join(copy.name, name));
    }
    symlinkSync(join(ROOT, "node_modules"), join(copy.name, "node_modules"));
  });
  afterAll(() => copy[Symbol.dispose]());

  test(
    "give the same bytes, in another folder and from an empty cache too",
    async () => {
      const here = await Bun.file(await packedTarball()).bytes();
      const there = await pack({ root: copy.name, targets: TEST_TARGETS });
      expect(existsSync(join(copy.name, "build", "targets"))).toBe(true);
      expect(Buffer.from(there.tarball).equals(here)).toBe(true);
    },
    PACK_LIMIT_MS,
  );

  test(
    "of different sources have different provenances",
    async () => {
      const file = join(copy.name, "zig", "src", "clock.zig");
      await Bun.write(file, `${readFileSync(file, "utf8")}\n// another line\n`);
      const [target] = TEST_TARGETS;
      const folders = { zigFolder: join(copy.name, "zig"), outputFolder: join(copy.name, "other") };
      const changed = Buffer.from(buildLibrary(target!, folders).content);
      const sources = (content: Uint8Array): string =>
        /sources=([0-9a-f]{64})/.exec(Buffer.from(content).toString("latin1"))![1]!;
      expect(sources(changed)).not.toBe(sources(buildLibrary(target!, LIBRARY_FOLDERS).content));
    },
    PACK_LIMIT_MS,
  );

  test("refuse a version that the library does not have", async () => {
    const manifest = join(copy.name, "package.json");
    await Bun.write(manifest, readFileSync(manifest, "utf8").replace('"version": "', '"version": "9'));
    expect(pack({ root: copy.name, targets: [] })).rejects.toThrow(
      /package\.json has version 9\S+, and zig\/build\.zig\.zon has/,
    );
  });
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
