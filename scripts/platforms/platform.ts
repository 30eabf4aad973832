/** A platform, and what is to be done to test it. */

import type { Outcome } from "./outcome.ts";

export interface Platform {
  /** As Node.js names its system and architecture, with what else tells it apart. */
  readonly name: string;
  /** What is done there, in a line. */
  readonly summary: string;
  /** Makes everything ready. @throws MissingError if this machine cannot test it. */
  readonly prepare: (workplace: Workplace) => Promise<Plan>;
}

export interface Workplace {
  /** The project's root. */
  readonly root: string;
  /** The compiler. */
  readonly zig: string;
  /** A folder for what is needed only now. */
  readonly scratch: string;
  /** A folder for what the runs print, or null. */
  readonly logs: string | null;
}

export interface Plan {
  /** How the platform runs here: the emulator with its version, say. */
  readonly how: string;
  /** They may run at the same time as each other, and in any order. */
  readonly jobs: readonly Job[];
  /** Ends what outlasts the jobs. */
  readonly end?: () => Promise<void>;
  /** Set if these results are counted elsewhere already. */
  readonly isCountedElsewhere?: boolean;
}

export type Job = () => Promise<Outcome>;
