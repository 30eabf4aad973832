/**
 * The native library inside the program, for bundles: what `bun build` makes is one file that is moved elsewhere, and has
 * no files beside it.
 *
 * `bun run pack` puts a module with the libraries of all platforms in the place of this one; these sources have none.
 */

export interface EmbeddedLibrary {
  readonly fileName: string;
  /** Of the file, in hexadecimal digits. */
  readonly sha256: string;
  /** The file, compressed by zstd, as base64. */
  readonly content: string;
}

/** The library for this platform. */
export function embeddedLibrary(): EmbeddedLibrary | undefined {
  return undefined;
}
