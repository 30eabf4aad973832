/**
 * Calls on descriptors of any kind: pipes, terminals, and what others have opened. A part of the `System`; like all of it
 * they never block on what was opened here, and return a negated error number when they fail.
 */

/** The calls that move bytes. Sockets have theirs, which raise no SIGPIPE; everything else shares these. */
export interface TransferCalls {
  /** Reads at most `length` bytes to `offset`; returns how many, 0 at the end. */
  receive(descriptor: number, buffer: Uint8Array, offset: number, length: number): number;
  /** Writes at most `length` bytes from `offset`; returns how many. */
  send(descriptor: number, buffer: Uint8Array, offset: number, length: number): number;
  /** Writes parts in order, in one call: from `parts[first]`, `offset` bytes into it; returns how many bytes. */
  sendVectored(descriptor: number, parts: readonly Uint8Array[], first: number, offset: number): number;
}

/** How a file is opened, by the numbers that `zig/src/file.zig` has. */
export const Access = { READ: 0, WRITE: 1, BOTH: 2 } as const;
export type Access = (typeof Access)[keyof typeof Access];

/** What a descriptor is. */
export type DescriptorKind =
  "regular file" | "directory" | "pipe" | "socket" | "character device" | "block device" | "other";

/** The two ends of a pipe. */
export interface PipeEnds {
  readonly reader: number;
  readonly writer: number;
}

export interface FileSystem extends TransferCalls {
  /** 1 if it is non-blocking, 0 if it is not. */
  isNonBlocking(descriptor: number): number;
  setNonBlocking(descriptor: number, isOn: boolean): number;
  /** Or an error number. */
  kindOf(descriptor: number): DescriptorKind | number;
  /** A new pipe, both ends non-blocking; or an error number. */
  makePipe(): PipeEnds | number;
  /** Opens without waiting for the other side. */
  open(path: string, access: Access): number;
  /** Makes a named pipe (mkfifo(3)) with the permissions in `mode`. */
  makeFifo(path: string, mode: number): number;
  /** Removes a name (unlink(2)). */
  unlink(path: string): number;
  /** What has this name, a symbolic link not followed; null if nothing has that can be seen. */
  kindOfFile(path: string): DescriptorKind | null;
  /** Tells two files apart, though they have had the same name; null if there is no file of that name that can be seen. */
  identityOf(path: string): string | null;
  /** Changes the permissions (chmod(2)), of a file or of what is open (fchmod(2)). */
  setMode(target: string | number, mode: number): number;
  /** Another number for the same open file. */
  duplicate(descriptor: number): number;
}
