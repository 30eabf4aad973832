// What a library file wants of its surroundings when it is loaded: other libraries, and on ELF systems names that those
// must have.
//
// Sources: elf(5); Apple's `mach-o/loader.h`; Microsoft's "PE Format".

export interface Imports {
  /** The libraries that the loader must find, as the file names them. */
  readonly libraries: readonly string[];
  /** The names that it must find in them; ELF alone, where they need not say from which. */
  readonly symbols: readonly string[];
}

/** @throws Error for a file that is neither ELF (64 bits, little-endian), nor Mach-O (64 bits) nor PE32+ */
export function importsOf(file: Uint8Array): Imports {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, true) === 0x46_4c_45_7f) return importsOfElf(view);
  if (view.getUint32(0, true) === 0xfe_ed_fa_cf) return { libraries: librariesOfMachO(view), symbols: [] };
  if (view.getUint16(0, true) === 0x5a_4d) return { libraries: librariesOfPe(view), symbols: [] };
  throw new Error("this is no library of a known format");
}

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly link: number;
}

function importsOfElf(view: DataView): Imports {
  const sections = sectionsOfElf(view);
  const libraries: string[] = [];
  const symbols: string[] = [];
  for (const { type, offset, sizeBytes, link } of sections) {
    const names = sections[link]?.offset ?? 0;
    const end = offset + sizeBytes;
    if (type === ELF_DYNAMIC) {
      for (let entry = offset; entry < end; entry += 16) {
        if (word(view, entry) === ELF_NEEDED) libraries.push(textAt(view, names + word(view, entry + 8)));
      }
    }
    if (type === ELF_DYNAMIC_SYMBOLS) {
      // The first one is always empty.
      for (let entry = offset + 24; entry < end; entry += 24) {
        if (view.getUint16(entry + 6, true) === 0) symbols.push(textAt(view, names + view.getUint32(entry, true)));
      }
    }
  }
  return { libraries, symbols };
}

function sectionsOfElf(view: DataView): Section[] {
  const first = word(view, 40);
  const entryBytes = view.getUint16(58, true);
  return Array.from({ length: view.getUint16(60, true) }, (_, index) => {
    const entry = first + index * entryBytes;
    return {
      type: view.getUint32(entry + 4, true),
      offset: word(view, entry + 24),
      sizeBytes: word(view, entry + 32),
      link: view.getUint32(entry + 40, true),
    };
  });
}

function librariesOfMachO(view: DataView): string[] {
  const libraries: string[] = [];
  let command = 32;
  for (let left = view.getUint32(16, true); left > 0; left--) {
    const kind = view.getUint32(command, true);
    if (MACH_O_LOADS.has(kind)) libraries.push(textAt(view, command + view.getUint32(command + 8, true)));
    command += view.getUint32(command + 4, true);
  }
  return libraries;
}

function librariesOfPe(view: DataView): string[] {
  const header = view.getUint32(60, true);
  const optionalHeader = header + 24;
  if (view.getUint16(optionalHeader, true) !== PE32_PLUS) throw new Error("this PE file is none of 64 bits");
  const imports = view.getUint32(optionalHeader + 120, true);
  if (imports === 0) return [];
  const offsetOf = (address: number): number => {
    const sections = optionalHeader + view.getUint16(header + 20, true);
    for (let index = 0; index < view.getUint16(header + 6, true); index++) {
      const section = sections + index * 40;
      const start = view.getUint32(section + 12, true);
      const inSection = address - start;
      if (inSection >= 0 && inSection < view.getUint32(section + 16, true)) {
        return view.getUint32(section + 20, true) + inSection;
      }
    }
    throw new Error(`no section of this PE file has the address ${address}`);
  };
  const libraries: string[] = [];
  for (let entry = offsetOf(imports); view.getUint32(entry + 12, true) !== 0; entry += 20) {
    libraries.push(textAt(view, offsetOf(view.getUint32(entry + 12, true))));
  }
  return libraries;
}

/** A number of 64 bits; those in files that fit into memory are exact as doubles. */
function word(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}

/** Text that ends with a zero. */
function textAt(view: DataView, offset: number): string {
  let end = offset;
  while (view.getUint8(end) !== 0) end++;
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + offset, end - offset));
}

const ELF_DYNAMIC = 6;
const ELF_DYNAMIC_SYMBOLS = 11;
const ELF_NEEDED = 1;

/** LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB. */
const MACH_O_LOADS: ReadonlySet<number> = new Set([0x0c, 0x80_00_00_18, 0x80_00_00_1f]);

const PE32_PLUS = 0x02_0b;
