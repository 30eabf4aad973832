/** Descriptors that a service has given into keeping, for its next start (FDSTORE of sd_notify(3)). */

import { closeSync } from "node:fs";

export interface StoredDescriptor {
  readonly name: string;
  readonly descriptor: number;
}

export class DescriptorStore implements Disposable {
  private stored: StoredDescriptor[] = [];

  /** In the order in which they came. */
  get all(): readonly StoredDescriptor[] {
    return this.stored;
  }

  /** Takes descriptors over; those for which there is no room are closed. Returns how many are kept. */
  add(name: string, descriptors: readonly number[]): number {
    const kept = descriptors.slice(0, MOST_STORED - this.stored.length);
    for (const descriptor of descriptors.slice(kept.length)) closeSync(descriptor);
    this.stored.push(...kept.map((descriptor) => ({ name, descriptor })));
    return kept.length;
  }

  /** Closes all of a name. Returns how many there were. */
  remove(name: string): number {
    const removed = this.stored.filter((one) => one.name === name);
    this.stored = this.stored.filter((one) => one.name !== name);
    for (const { descriptor } of removed) closeSync(descriptor);
    return removed.length;
  }

  [Symbol.dispose](): void {
    for (const { descriptor } of this.stored.splice(0)) closeSync(descriptor);
  }
}

/** A service that stores more than this stores by mistake. */
const MOST_STORED = 128;
