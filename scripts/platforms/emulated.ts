/** A Bun that another program has to run. */

export interface Emulated {
  /** The command that runs it. */
  readonly bun: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** The emulator, with its version. */
  readonly emulator: string;
}
