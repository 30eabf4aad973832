// A tarball as npm makes them, in ustar format: files below `package/`, in order of their names, with one date and one
// owner for all, so that the same files give the same bytes.
//
// Source: POSIX.1, pax, "ustar Interchange Format".

export interface PackedFile {
  /** Relative to the package's folder, with slashes. */
  readonly path: string;
  readonly content: Uint8Array | string;
  readonly isExecutable?: boolean;
}

/** The files as a .tgz. */
export function makeTarball(files: readonly PackedFile[]): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  for (const file of files.toSorted((one, other) => (one.path < other.path ? -1 : 1))) {
    const content = typeof file.content === "string" ? new TextEncoder().encode(file.content) : file.content;
    blocks.push(header(file, content.length), padded(content));
  }
  blocks.push(new Uint8Array(2 * BLOCK_BYTES));
  return Bun.gzipSync(Buffer.concat(blocks), { level: 9 });
}

function header({ path, isExecutable = false }: PackedFile, sizeBytes: number): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  const name = `package/${path}`;
  if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) throw new Error(`${name} is too long for a name in a tarball`);
  block.write(name, 0);
  block.write(isExecutable ? "0000755\0" : "0000644\0", 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(sizeBytes, 12), 124);
  block.write(octal(MODIFIED_S, 12), 136);
  block.write("        ", 148);
  block.write("0", 156);
  block.write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 7)} `, 148);
  return block;
}

function octal(value: number, fieldBytes: number): string {
  return `${value.toString(8).padStart(fieldBytes - 1, "0")}\0`;
}

function padded(content: Uint8Array): Uint8Array {
  const block = new Uint8Array(Math.ceil(content.length / BLOCK_BYTES) * BLOCK_BYTES);
  block.set(content);
  return block;
}

const BLOCK_BYTES = 512;
const LONGEST_NAME_BYTES = 100;

/** 26 October 1985, 08:15 UTC, as npm has it: zip files cannot be older than 1980. */
const MODIFIED_S = 499_162_500;
