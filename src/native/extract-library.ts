/**
 * Writes the library that is inside a bundled program to a file, because the system loads libraries from files alone.
 *
 * Facts. The folder for temporary files may be shared with other users, who must not be able to put a library of theirs in
 * the place of ours. Several programs, and several threads of one, may do this at once. A file that a process has loaded
 * must not be written to.
 *
 * Decision. The file lies in a folder that belongs to this user and that no other can write to, and is named after its
 * hash: programs of the same version share it, and those of other versions have their own. It is written beside its place
 * and renamed into it, so whoever sees the name sees the whole file. One that is there is used if its content is the
 * right one; a rename replaces any other, and leaves alone who has loaded that.
 */

import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddedLibrary } from "./embedded-library.ts";

/**
 * The path of a file with the library, in `folder`, which is made if it is not there.
 * @throws Error if the folder or the file cannot be made, or others could change it
 */
export function extractLibrary(library: EmbeddedLibrary, folder: string): string {
  makeOwnFolder(folder);
  const path = join(folder, `${library.sha256.slice(0, HASH_DIGITS)}-${library.fileName}`);
  if (!isWritten(path, library)) write(path, library);
  return path;
}

function makeOwnFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: OWNER_ALONE });
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw new Error(`${folder} is no folder`);
  // On Windows the folder for temporary files is the user's own, and there are no such modes.
  const user = process.getuid?.();
  if (user === undefined) return;
  if (found.uid !== user)
    throw new Error(`${folder} belongs to user ${found.uid}, and this program runs as user ${user}`);
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) throw new Error(`other users can write to ${folder}`);
}

function isWritten(path: string, library: EmbeddedLibrary): boolean {
  try {
    return sha256(readFileSync(path)) === library.sha256;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function write(path: string, library: EmbeddedLibrary): void {
  const content = Bun.zstdDecompressSync(Buffer.from(library.content, "base64"));
  const unfinished = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    writeFileSync(unfinished, content, { flag: "wx", mode: OWNER_ALONE });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

function sha256(content: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

/** Enough to tell versions apart; the whole hash is compared with the content. */
const HASH_DIGITS = 16;

const OWNER_ALONE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;
