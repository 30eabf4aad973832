/** `node:stream`, loaded with the first stream: it takes some milliseconds, and many programs have none. */
export function nodeStream(): typeof import("node:stream") {
  return process.getBuiltinModule("node:stream");
}
