/**
 * Bun's build for musl on a system with glibc.
 *
 * It needs a musl that knows DT_RELR, which 1.2.4 was the first to (Debian 12 has 1.2.3, under which Bun crashes), and
 * libstdc++ and libgcc_s that were built for musl. A variable such as LD_LIBRARY_PATH that leads there would lead the
 * programs that tests start astray, which are the system's. So a copy of Bun gets the loader and the folder of its
 * libraries written into it with patchelf: it is a program like any other then, `process.execPath` included.
 */

import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { bunOfPackage } from "./bun-package.ts";
import { unpackFromNewerDebian } from "./debian.ts";
import { fetchedOnce, step } from "./fetching.ts";
import { MissingError } from "./missing.ts";
import { firstLineOf } from "./run.ts";

/**
 * The folder with a `bun` that runs here on musl.
 *
 * @throws MissingError if a part of it is not to be had
 */
export async function muslBun(root: string): Promise<string> {
  const place = await fetchedOnce(root, "musl", (unfinished, at) => makeMuslBun(root, unfinished, at));
  const folder = join(place, "bin");
  if (firstLineOf([join(folder, "bun"), "--version"]) !== null) return folder;
  // The paths are written into it, so one that was moved does not run any more.
  rmSync(place, { recursive: true, force: true });
  throw new MissingError(`${place} did not run, and was removed: it is made anew the next time`);
}

async function makeMuslBun(root: string, unfinished: string, place: string): Promise<void> {
  for (const needed of ["patchelf", "python3"])
    if (Bun.which(needed) === null) throw new MissingError(`there is no ${needed} (Debian has a package of that name)`);
  const bun = await bunOfPackage(root, "@oven/bun-linux-x64-musl");
  const fetched = join(unfinished, "fetched");
  for (const folder of ["bin", "lib", "fetched"]) mkdirSync(join(unfinished, folder), { recursive: true });
  await unpackFromNewerDebian("musl", fetched);
  // The loader is musl's libc itself.
  copyFileSync(join(fetched, "usr", "lib", "x86_64-linux-musl", "libc.so"), join(unfinished, "lib", LOADER));
  chmodSync(join(unfinished, "lib", LOADER), 0o755);
  await fetchLibraries(root, fetched, join(unfinished, "lib"));
  rmSync(fetched, { recursive: true });
  const copy = join(unfinished, "bin", "bun");
  copyFileSync(bun, copy);
  chmodSync(copy, 0o755);
  symlinkSync("bun", join(unfinished, "bin", "bunx"));
  const paths = ["--set-interpreter", join(place, "lib", LOADER), "--set-rpath", join(place, "lib")];
  await step(["patchelf", ...paths, copy], unfinished, "patchelf cannot lead Bun to its loader");
}

/** The libraries of GCC for musl, out of a wheel for musl: such a wheel carries what it is linked to. */
async function fetchLibraries(root: string, folder: string, libraries: string): Promise<void> {
  const list = join("scripts", "platforms", "musl-libraries.txt");
  const platform = ["--platform", "musllinux_1_2_x86_64", "--python-version", "3.12", "--implementation", "cp"];
  const options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", folder];
  const pip = ["python3", "-m", "pip", "download", ...options, ...platform, "--requirement", list];
  await step(pip, root, "pip cannot fetch libstdc++ for musl");
  await step(["sh", "-c", "python3 -m zipfile -e *.whl wheel"], folder, "the wheel with libstdc++ cannot be unpacked");
  // The wheel has a part of the hash in the names, by which its libraries know each other.
  for (const library of globSync("wheel/*.libs/*.so.*", { cwd: folder })) {
    copyFileSync(join(folder, library), join(libraries, basename(library)));
    symlinkSync(basename(library), join(libraries, basename(library).replace(/-[0-9a-f]+(\.so\.\d+).*$/, "$1")));
  }
  for (const needed of ["libstdc++.so.6", "libgcc_s.so.1"])
    if (!existsSync(join(libraries, needed))) throw new MissingError(`the wheel of ${list} has no ${needed}`);
}

const LOADER = "ld-musl-x86_64.so.1";
