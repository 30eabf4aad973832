/** One run of a virtual world. It can be given up on: its tasks are cancelled then, and the reason comes out. */

export class VirtualRun {
  private readonly controller = new AbortController();
  /** Why the world gave up on the run; null if it did not. */
  private verdict: Error | null = null;
  private rejectNow: (error: unknown) => void = () => {};

  /** The signal that cancels the run, with the one that its options have. */
  signalWith(signal: AbortSignal | undefined): AbortSignal {
    const own = this.controller.signal;
    return signal === undefined ? own : AbortSignal.any([own, signal]);
  }

  /** Cancels the tasks; the error comes out when they have cleaned up, or, if they never do, the second time. */
  giveUp(error: Error): void {
    if (this.verdict !== null) return this.rejectNow(this.verdict);
    this.verdict = error;
    this.controller.abort(error);
  }

  /** What comes out of the run, given what comes out of the executor's. */
  outcomeOf<T>(outcome: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.rejectNow = reject;
    outcome.then(
      (value) => (this.verdict === null ? resolve(value) : reject(this.verdict)),
      (error) => reject(this.withVerdict(error)),
    );
    return promise;
  }

  /** An error of the clean-up does not hide why there was one. */
  private withVerdict(error: unknown): unknown {
    if (this.verdict === null || error === this.verdict) return error;
    // Both are in the message: Bun 1.4.5 prints a SuppressedError without the two errors that it is about.
    return new SuppressedError(
      error,
      this.verdict,
      `${String(error)}\n\nin the clean-up after: ${this.verdict.message}`,
    );
  }
}
