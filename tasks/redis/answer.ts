/** What the server does with the requests of a connection, whatever brings them. */

import type { Outgoing } from "./outgoing.ts";
import { ProtocolError, ReplyError } from "./protocol.ts";
import type { Requests } from "./requests.ts";
import type { Store } from "./store.ts";

/**
 * Answers the requests that are there whole, in order. Small requests can have large replies, so it stops when there are enough
 * to be sent: whoever does not read does not fill the memory.
 * @returns whether all were answered; if not, call it again when the replies are gone
 */
export function answerSome(requests: Requests, store: Store, replies: Outgoing): boolean {
  let answeredBytes = replies.length;
  try {
    while (!replies.isLast) {
      if (replies.length >= ENOUGH_BYTES) return false;
      const words = requests.next();
      if (words === null) return true;
      if (words.length > 0) store.execute(words, replies);
      answeredBytes = replies.length;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    replies.length = answeredBytes;
    replies.reply(new ReplyError(`ERR Protocol error: ${error.message}`));
    replies.isLast = true;
  }
  return true;
}

/** What a connection takes at once, more or less. */
const ENOUGH_BYTES = 65_536;
