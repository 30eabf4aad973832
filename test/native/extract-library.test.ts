/** The library inside a bundled program becomes a file: once, whole, and in a folder that is this user's alone. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { EmbeddedLibrary } from "../../src/native/embedded-library.ts";
import { extractLibrary } from "../../src/native/extract-library.ts";
import { runScript } from "../support/child.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { temporaryFolder, type TemporaryPath } from "../support/temporary.ts";
import { gap, testUnless } from "../support/platform.ts";

const CONTENT = Buffer.from("what a library is made of, ".repeat(1_000));

const LIBRARY: EmbeddedLibrary = {
  fileName: "libsomething.so",
  sha256: new Bun.CryptoHasher("sha256").update(CONTENT).digest("hex"),
  content: Buffer.from(Bun.zstdCompressSync(CONTENT)).toString("base64"),
};

let temporary: TemporaryPath;
let folder: string;

beforeEach(() => {
  temporary = temporaryFolder();
  folder = join(temporary.name, "of this user");
});
afterEach(() => temporary[Symbol.dispose]());

describe("a library that is extracted", () => {
  expectNothingLeftBehind();

  testUnless(gap({ win32: "win32 has no permissions by numbers" }))(
    "is the file that was embedded, in a new folder that is its user's alone",
    () => {
      const path = extractLibrary(LIBRARY, folder);
      expect(path).toBe(join(folder, `${LIBRARY.sha256.slice(0, 16)}-libsomething.so`));
      expect(readFileSync(path).equals(CONTENT)).toBe(true);
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(readdirSync(folder)).toHaveLength(1);
    },
  );

  test("is used again, and not written a second time", () => {
    const path = extractLibrary(LIBRARY, folder);
    const { ino } = statSync(path);
    expect(extractLibrary(LIBRARY, folder)).toBe(path);
    expect(statSync(path).ino).toBe(ino);
  });

  test("is replaced if its content is another one, and who has the old file open keeps it", () => {
    const path = extractLibrary(LIBRARY, folder);
    truncateSync(path, 10);
    const { ino } = statSync(path);
    expect(extractLibrary(LIBRARY, folder)).toBe(path);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(statSync(path).ino).not.toBe(ino);
  });

  test("has a name of its own for each content", () => {
    const other = Buffer.from("another version");
    const sha256 = new Bun.CryptoHasher("sha256").update(other).digest("hex");
    const content = Buffer.from(Bun.zstdCompressSync(other)).toString("base64");
    const paths = [extractLibrary(LIBRARY, folder), extractLibrary({ ...LIBRARY, sha256, content }, folder)];
    expect(new Set(paths).size).toBe(2);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("is written whole by many processes at once, and nothing else is left", async () => {
    const script = `
      import { extractLibrary } from "./src/native/extract-library.ts";
      console.log(extractLibrary(${JSON.stringify(LIBRARY)}, ${JSON.stringify(folder)}));`;
    const children = await Promise.all(Array.from({ length: 6 }, () => runScript(script)));
    for (const child of children) expect(child).toMatchObject({ exitCode: 0, stderr: "" });
    expect(new Set(children.map(({ stdout }) => stdout)).size).toBe(1);
    expect(readdirSync(folder)).toHaveLength(1);
    expect(readFileSync(children[0]!.stdout.trim()).equals(CONTENT)).toBe(true);
  });
});

describe("a folder for libraries", () => {
  expectNothingLeftBehind();

  // Windows has no such modes, and its folder for temporary files is the user's own.
  test.skipIf(process.platform === "win32")("that others can write to is refused", () => {
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    expect(thrownBy(() => extractLibrary(LIBRARY, folder)).message).toBe(`other users can write to ${folder}`);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)("of another user is refused (only root can make one)", () => {
    mkdirSync(folder, { mode: 0o700 });
    // A number that no user has.
    chownSync(folder, 54321, 54321);
    expect(thrownBy(() => extractLibrary(LIBRARY, folder)).message).toBe(
      `${folder} belongs to user 54321, and this program runs as user 0`,
    );
  });

  testUnless(gap({ wine: "wine 8 makes no links to folders" }))("that is a link or a file is refused", () => {
    const target = join(temporary.name, "target");
    mkdirSync(target, { mode: 0o700 });
    symlinkSync(target, folder);
    expect(thrownBy(() => extractLibrary(LIBRARY, folder)).message).toBe(`${folder} is no folder`);
    const file = join(temporary.name, "file");
    writeFileSync(file, "");
    expect(thrownBy(() => extractLibrary(LIBRARY, file)).message).toContain(file);
    expect(readdirSync(target)).toEqual([]);
  });
});
