/** A turn of the host's event loop. */

/** Lets the host's event loop have one turn, with all the microtasks that belong to it. */
export function hostTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
