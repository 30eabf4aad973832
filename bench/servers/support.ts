// What the echo servers of the bench have in common beside echoing.

import { parseArguments } from "../support/arguments.ts";

export const HOST = "127.0.0.1";

export interface ServerArguments {
  /** 0 lets the system choose. */
  readonly port: number;
  /** The bound of the linger, for the server on `run`; undefined leaves it at its default. */
  readonly lingerUs: number | undefined;
  /** The size of a connection's buffer, for the servers of this package. */
  readonly bufferBytes: number;
}

export function serverArguments(): ServerArguments {
  const given = parseArguments({ port: "number", "linger-us": "number", "buffer-bytes": "number" });
  return { port: given.port ?? 0, lingerUs: given["linger-us"], bufferBytes: given["buffer-bytes"] ?? 64 * 1024 };
}

/** Tells the bench, which waits for this line, that connections are welcome. */
export function announce(port: number): void {
  console.log(`listening on ${HOST}:${port}`);
}

/**
 * Collects the garbage when the bench asks for it, which it does before it measures memory. Twice, with a pause: what the first
 * collection frees goes back to the system only some time later.
 */
export function collectGarbageOnRequest(): void {
  process.on("SIGUSR2", async () => {
    Bun.gc(true);
    await Bun.sleep(FREEING_MS);
    Bun.gc(true);
    console.log("collected");
  });
}

/** The engine hands freed memory back within some hundred milliseconds. */
const FREEING_MS = 500;
