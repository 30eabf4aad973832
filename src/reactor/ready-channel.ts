/**
 * The channel that carries what became ready from the reactor thread to the executor's thread, and the words by which
 * the two agree who polls.
 *
 * Facts. Waking a sleeping thread costs 50 to 80 µs on a virtual machine, ten times as much as a small read and write.
 * Two threads that poll one event queue at once wake each other for nothing. A message to a JavaScript thread is seen
 * only when its event loop has a turn, and costs microseconds each. A notify on a shared word may come late and meet
 * the next wait.
 *
 * Decision. The *baton* is one shared word: whoever holds it polls, and only its holder passes it on; so the ring of
 * events has one producer at any moment. The executor holds it while it is awake, and hands it over when it parks. From
 * then on the reactor thread polls, blocking. When something is ready it pushes it into the ring and rings the *bell*,
 * a message, at most one between two answers. Whether it then gives the baton back depends on the traffic. If it is
 * dense, so that the executor wants to poll on by itself (`isWanted`), or if the last bell is not answered when the next
 * events come (`isBellRinging`), it does. If it is sparse, the thread keeps the baton and goes on polling: a message
 * from time to time then costs one wake-up of the thread and one of the executor, and no waiting for the baton. When the
 * deadline has come, when the ring is full and when a poll has failed, it always gives the baton back.
 *
 * Every wait on a shared word looks at the word again, because of late notifies. The deadline is a double that is not
 * written atomically; a torn one does no harm, because a deadline that became earlier is followed by a wake, after
 * which the thread reads it again.
 */

import { allocateRing, RING_ENTRIES, RingWord } from "../native/queue.ts";

/** The shared memory of a channel, as the reactor thread gets it. */
export interface ChannelMemory {
  readonly ring: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

/** Who polls. */
export const Holder = { EXECUTOR: 0, REACTOR: 1, NOBODY: 2 } as const;
export type Holder = (typeof Holder)[keyof typeof Holder];

export class ReadyChannel {
  private readonly ring: Int32Array;
  private readonly control: Int32Array;
  private readonly deadline: Float64Array;
  /** The position of the oldest event, on the consumer's side. */
  private head: number;

  constructor(readonly memory: ChannelMemory) {
    this.ring = new Int32Array(memory.ring);
    this.control = new Int32Array(memory.control);
    this.head = this.ring[RingWord.HEAD]!;
    this.deadline = new Float64Array(memory.control, DEADLINE_OFFSET_BYTES, 1);
  }

  static allocate(): ReadyChannel {
    const control = new SharedArrayBuffer(CONTROL_BYTES);
    const channel = new ReadyChannel({ ring: allocateRing(), control });
    channel.deadlineNs = Infinity;
    return channel;
  }

  get hasEvents(): boolean {
    return Atomics.load(this.ring, RingWord.TAIL) !== this.head;
  }

  /**
   * Takes the events that are there at the beginning, in order; returns how many. An event is gone before its handler
   * runs.
   */
  drain(handler: (slot: number, generation: number, readiness: number) => void): number {
    const { ring } = this;
    const tail = Atomics.load(ring, RingWord.TAIL);
    let count = 0;
    // A handler may itself drain, and so get ahead of us.
    while (((tail - this.head) | 0) > 0) {
      const entry = RingWord.FIRST_ENTRY + (this.head & (RING_ENTRIES - 1)) * RingWord.PER_ENTRY;
      this.head = (this.head + 1) | 0;
      count++;
      handler(ring[entry]!, ring[entry + 1]!, ring[entry + 2]!);
    }
    // Only now may the producer use their places again. A handler that throws leaves that to the next drain.
    Atomics.store(ring, RingWord.HEAD, this.head);
    return count;
  }

  /**
   * The time on the machine's monotonic clock at which the reactor thread gives the baton back, whatever has come; in
   * nanoseconds.
   */
  get deadlineNs(): number {
    return this.deadline[0]!;
  }

  set deadlineNs(deadlineNs: number) {
    this.deadline[0] = deadlineNs;
  }

  /** Whether the executor asks for the baton along with the next events. */
  get isWanted(): boolean {
    return Atomics.load(this.control, ControlWord.WANTED) === 1;
  }

  set isWanted(isWanted: boolean) {
    Atomics.store(this.control, ControlWord.WANTED, isWanted ? 1 : 0);
  }

  get holder(): Holder {
    return Atomics.load(this.control, ControlWord.BATON) as Holder;
  }

  /** Passes the baton on and wakes whoever waits for it; does nothing if `from` does not have it (any more). */
  pass(from: Holder, to: Holder): void {
    if (Atomics.compareExchange(this.control, ControlWord.BATON, from, to) !== from) return;
    Atomics.notify(this.control, ControlWord.BATON);
  }

  /** Takes the baton away for good, which ends the reactor thread. Returns who had it. */
  retire(): Holder {
    const previous = Atomics.exchange(this.control, ControlWord.BATON, Holder.NOBODY);
    Atomics.notify(this.control, ControlWord.BATON);
    return previous as Holder;
  }

  /** Blocks the thread for as long as `holder` has the baton; returns who has it then. */
  waitWhile(holder: Holder): Holder {
    for (;;) {
      const current = this.holder;
      if (current !== holder) return current;
      Atomics.wait(this.control, ControlWord.BATON, holder);
    }
  }

  /** Whether a bell is under way that the executor has not answered. */
  get isBellRinging(): boolean {
    return Atomics.load(this.control, ControlWord.BELL) === 1;
  }

  /** Returns true if no bell is under way, and one must be rung. */
  takeBell(): boolean {
    return Atomics.exchange(this.control, ControlWord.BELL, 1) === 0;
  }

  /** The bell was heard; the next event rings it again. */
  answerBell(): void {
    Atomics.store(this.control, ControlWord.BELL, 0);
  }

  /** The reactor thread polls no more, and will not touch the memory again. */
  markLeft(): void {
    Atomics.store(this.control, ControlWord.HAS_LEFT, 1);
    Atomics.notify(this.control, ControlWord.HAS_LEFT);
  }

  /** Blocks until the reactor thread has left its last poll. */
  waitUntilLeft(): void {
    while (Atomics.load(this.control, ControlWord.HAS_LEFT) === 0) Atomics.wait(this.control, ControlWord.HAS_LEFT, 0);
  }
}

const ControlWord = { BATON: 0, WANTED: 1, BELL: 2, HAS_LEFT: 3 } as const;
const DEADLINE_OFFSET_BYTES = 64;
const CONTROL_BYTES = 128;
