/**
 * The reactor thread: it waits for the baton, then in the event queue, and tells the executor what became ready.
 *
 * It returns to JavaScript after each poll, also when a signal ended it: a loop inside native code would keep the
 * runtime from ending this thread. Nothing wakes it periodically, except on Windows in the reactor of a Worker: no signal
 * gets a thread out of a wait there, and the Worker's end must.
 */

import { parentPort, workerData } from "node:worker_threads";
import { loadQueueFunctions } from "../native/library.ts";
import { NativeQueue, PollResult } from "../native/queue.ts";
import { Holder, ReadyChannel } from "./ready-channel.ts";
import { BELL, type ReactorThreadData, type ReactorThreadMessage } from "./thread-messages.ts";

function tell(message: ReactorThreadMessage): void {
  parentPort!.postMessage(message);
}

function main({ memory, queueMemory, libraryPath, longestPollNs }: ReactorThreadData): void {
  const channel = new ReadyChannel(memory);
  try {
    const queue = new NativeQueue(queueMemory, memory.ring, loadQueueFunctions(libraryPath));
    tell({ kind: "up" });
    while (channel.waitWhile(Holder.EXECUTOR) === Holder.REACTOR) pollOnce(channel, queue, longestPollNs);
  } catch (error) {
    tell({ kind: "startFailed", reason: error instanceof Error ? error.message : String(error) });
  } finally {
    channel.markLeft();
  }
}

/**
 * Polls, and passes on what came. A wake brings nothing, nor does a wait that was long enough: the caller then looks again
 * at the baton, and here at the deadline.
 */
function pollOnce(channel: ReadyChannel, queue: NativeQueue, longestPollNs: number): void {
  const result = queue.poll(Math.min(remainingNs(channel, queue), longestPollNs));
  if (result === PollResult.INTERRUPTED) return;
  // A bell that is not answered yet means that events come faster than the executor wakes up.
  const keepsBaton = result > 0 && !channel.isWanted && !channel.isBellRinging;
  if (result === 0 && !channel.isWanted && remainingNs(channel, queue) > 0) return;
  // The bell after the baton: an executor that answered the last one meanwhile would not know that it has the baton.
  if (!keepsBaton) channel.pass(Holder.REACTOR, Holder.EXECUTOR);
  if (result < 0 && result !== PollResult.RING_FULL) tell({ kind: "pollFailed", result });
  if (channel.takeBell()) tell(BELL);
}

function remainingNs(channel: ReadyChannel, queue: NativeQueue): number {
  const { deadlineNs } = channel;
  return deadlineNs === Infinity ? Infinity : deadlineNs - queue.monotonicNowNs();
}

main(workerData as ReactorThreadData);
