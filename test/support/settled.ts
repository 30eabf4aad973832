/** Awaiting what runs on a virtual driver without a world around it. */

import { hostTurn } from "../../src/testing/host-turn.ts";
import type { VirtualDriver } from "../../src/testing/virtual-driver.ts";

/**
 * Awaits what runs on the virtual driver. If nothing is under way any more that could settle it, it fails at once
 * with that as the reason, instead of hanging until the test's time is up.
 */
export async function settled<T>(driver: VirtualDriver, awaited: Promise<T>): Promise<T> {
  let isSettled = false;
  const note = (): void => {
    isSettled = true;
  };
  awaited.then(note, note);
  let quietTurns = 0;
  while (!isSettled && quietTurns < MOST_QUIET_TURNS) {
    await hostTurn();
    quietTurns = driver.isBusy ? 0 : quietTurns + 1;
  }
  if (!isSettled) throw new Error("nothing is under way that could settle the promise: the executor has stalled");
  return awaited;
}

/** Turns of the host in which nothing was under way; more than one, because promises of the test itself take some. */
const MOST_QUIET_TURNS = 10;
