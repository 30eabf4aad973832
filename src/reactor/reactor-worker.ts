/**
 * What the reactor's thread runs.
 *
 * `bun run pack` puts a module in the place of this one that has the same program as text: it needs no file then, which
 * a bundle does not have, nor an executable, and the thread is up sooner.
 */

/** What a Worker is made of: a module's address, or its text. */
export interface WorkerProgram {
  readonly source: URL | string;
  readonly isText: boolean;
}

export const REACTOR_WORKER: WorkerProgram = {
  source: new URL("./reactor.worker.ts", import.meta.url),
  isText: false,
};
