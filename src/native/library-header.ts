/**
 * What a library file says of itself in its first bytes, read before the system's loader sees it.
 *
 * Facts. For a library of another architecture the loader of glibc says "No such file or directory". One that is cut off
 * it maps without complaint, and the process dies by SIGBUS at the first call into what is missing. The loaders of macOS
 * and Windows refuse both, with a reason.
 *
 * Decision. Tell the platform that a file is for, and check that an ELF file is as long as its segments need. What is
 * neither is left to the loader to explain. The file, some tens of kilobytes, is read in one call: a Worker that is terminated
 * between two would leave it open.
 *
 * Sources: elf(5); Apple's `mach-o/loader.h`; Microsoft's "PE Format".
 */

import { readFileSync, statSync } from "node:fs";

/** Why a file cannot be loaded into this process, as the end of a sentence about it; null if its header is no reason. */
export function whyNotLoadable(path: string): string | null {
  if (!statSync(path).isFile()) return "it is no file";
  // In one call: a Worker that is terminated between several would leave the descriptor open.
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return judge(new DataView(buffer, byteOffset, byteLength));
}

function judge(file: DataView): string | null {
  const platforms = platformsOf(file);
  if (platforms === null) return null;
  const current = `${process.platform}-${process.arch}`;
  if (!platforms.includes(current)) return `it is built for ${platforms.join(" or ")}, and this is ${current}`;
  const neededBytes = isElf(file) ? neededByElf(file) : 0;
  const { byteLength } = file;
  return neededBytes > byteLength ? `it is cut off after ${byteLength} of at least ${neededBytes} bytes` : null;
}

/** The platforms that a file with this header may be for; null if that cannot be told. */
function platformsOf(header: DataView): string[] | null {
  if (header.byteLength < SHORTEST_HEADER_BYTES) return null;
  if (isElf(header)) return named(["linux", "freebsd"], ELF_MACHINES[header.getUint16(18, true)]);
  if (header.getUint32(0, true) === MACH_O_MAGIC) return named(["darwin"], MACH_O_MACHINES[header.getUint32(4, true)]);
  const peOffset = header.getUint16(0, true) === MZ_MAGIC ? header.getUint32(60, true) : Infinity;
  if (peOffset + 6 > header.byteLength || header.getUint32(peOffset, true) !== PE_MAGIC) return null;
  return named(["win32"], PE_MACHINES[header.getUint16(peOffset + 4, true)]);
}

function named(systems: readonly string[], machine = "another architecture"): string[] {
  return systems.map((system) => `${system}-${machine}`);
}

function isElf(header: DataView): boolean {
  return header.getUint32(0, true) === ELF_MAGIC;
}

/** How long the file must be for its program headers and the segments that they describe. */
function neededByElf(header: DataView): number {
  const offset = Number(header.getBigUint64(32, true));
  const entryBytes = header.getUint16(54, true);
  const endOfTable = offset + entryBytes * header.getUint16(56, true);
  let neededBytes = endOfTable;
  for (let entry = offset; entry < endOfTable && entry + ELF_ENTRY_BYTES <= header.byteLength; entry += entryBytes) {
    const endOfSegment = Number(header.getBigUint64(entry + 8, true) + header.getBigUint64(entry + 32, true));
    neededBytes = Math.max(neededBytes, endOfSegment);
  }
  return neededBytes;
}

const ELF_MAGIC = 0x46_4c_45_7f;
const MACH_O_MAGIC = 0xfe_ed_fa_cf;
const MZ_MAGIC = 0x5a_4d;
const PE_MAGIC = 0x00_00_45_50;

const ELF_MACHINES: Readonly<Record<number, string>> = { 62: "x64", 183: "arm64" };
const MACH_O_MACHINES: Readonly<Record<number, string>> = { 0x01_00_00_07: "x64", 0x01_00_00_0c: "arm64" };
const PE_MACHINES: Readonly<Record<number, string>> = { 0x86_64: "x64", 0xaa_64: "arm64" };

/** Of one ELF program header. */
const ELF_ENTRY_BYTES = 56;

/** The ELF header, the longest of those that are looked at as a whole. */
const SHORTEST_HEADER_BYTES = 64;
