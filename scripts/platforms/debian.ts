/**
 * Packages of a newer Debian than the one that runs here, unpacked into a folder and never installed: its apt has lists of its
 * own for that, so the system's packages stay as they are.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { step } from "./fetching.ts";
import { MissingError } from "./missing.ts";

/** Debian 13. Its musl is 1.2.5, its qemu 10.0. */
const NEWER = "trixie";

/**
 * Unpacks a package; its files are below the folder as they would be below the root.
 *
 * @throws MissingError if this is no Debian, or if the package cannot be fetched
 */
export async function unpackFromNewerDebian(name: string, folder: string): Promise<void> {
  for (const program of ["apt-get", "dpkg-deb"])
    if (Bun.which(program) === null) throw new MissingError(`there is no ${program} to fetch ${name} of Debian with`);
  const apt = join(folder, "apt");
  for (const made of ["lists/partial", "cache/archives/partial", "packages"])
    mkdirSync(join(apt, made), { recursive: true });
  const sources = join(apt, "newer.sources");
  writeFileSync(
    sources,
    `Types: deb\nURIs: ${await addressOfArchive(apt)}\nSuites: ${NEWER}\nComponents: main\nSigned-By: ${KEYS}\n`,
  );
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    "Dir::Etc::sourceparts=-",
    `Dir::State::lists=${join(apt, "lists")}`,
    `Dir::Cache=${join(apt, "cache")}`,
    "APT::Sandbox::User=root",
    // Translations, and what shops for applications show: nobody asks for them here.
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
  ].flatMap((option) => ["-o", option]);
  const failure = `apt-get cannot fetch ${name} of Debian ${NEWER}`;
  await step(["apt-get", "-qq", ...options, "update"], apt, failure);
  await step(["apt-get", "-qq", ...options, "download", name], join(apt, "packages"), failure);
  const unpack = ["sh", "-c", 'dpkg-deb -x packages/*.deb "$0"', folder];
  await step(unpack, apt, `the package ${name} cannot be unpacked`);
}

/** Where this system's own packages come from. */
async function addressOfArchive(folder: string): Promise<string> {
  const command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"];
  const lines = (await step(command, folder, "apt-get does not tell its sources")).split("\n");
  const address = lines.find((line) => line.startsWith("Debian Debian "))?.split(" ")[2];
  if (address === undefined) throw new MissingError("apt-get has no list of Debian's packages (apt-get update)");
  return address;
}

const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";
