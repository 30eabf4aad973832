// The server of tasks/redis-server.ts on `Bun.listen`: the same protocol and the same store, with push callbacks instead of tasks.
// A socket takes what its send buffer has room for; the rest waits in `replies`, and the socket is paused until it is gone.

import type { Socket } from "bun";
import { answerSome } from "../../tasks/redis/answer.ts";
import { Outgoing } from "../../tasks/redis/outgoing.ts";
import { Requests } from "../../tasks/redis/requests.ts";
import { Store } from "../../tasks/redis/store.ts";
import { announce, HOST, serverArguments } from "./support.ts";

interface Connection {
  readonly requests: Requests;
  readonly replies: Outgoing;
  /** How much of the replies the socket has taken. */
  sentBytes: number;
  /** Whether requests are left that were not answered, because there were enough replies. */
  hasMore: boolean;
  /** What came while replies were still waiting: it was on its way when the socket was paused. */
  readonly late: Uint8Array[];
}

const store = new Store();

const server = Bun.listen<Connection>({
  hostname: HOST,
  port: serverArguments().port,
  socket: {
    open(socket) {
      socket.data = { requests: new Requests(), replies: new Outgoing(), sentBytes: 0, hasMore: false, late: [] };
      socket.setNoDelay(true);
    },
    data(socket, chunk) {
      const { data } = socket;
      if (data.replies.length > 0) data.late.push(chunk);
      else take(socket, chunk);
    },
    drain(socket) {
      const { data } = socket;
      if (data.replies.length === 0 || !sendReplies(socket)) return;
      if (data.hasMore && !answerAll(socket)) return;
      for (let chunk = data.late.shift(); chunk !== undefined; chunk = data.late.shift()) {
        if (!take(socket, chunk)) return;
      }
      socket.resume();
    },
    error(_socket, error) {
      console.error(error.message);
    },
  },
});

/** Returns whether all was answered, and all answers are on their way. */
function take(socket: Socket<Connection>, chunk: Uint8Array): boolean {
  const { requests } = socket.data;
  for (let start = 0; start < chunk.length;) {
    const room = requests.room();
    const part = chunk.subarray(start, start + room.length);
    room.set(part);
    requests.received(part.length);
    start += part.length;
    if (answerAll(socket)) continue;
    if (start < chunk.length) socket.data.late.unshift(chunk.subarray(start));
    return false;
  }
  return true;
}

function answerAll(socket: Socket<Connection>): boolean {
  const { data } = socket;
  do {
    data.hasMore = !answerSome(data.requests, store, data.replies);
    if (sendReplies(socket)) continue;
    socket.pause();
    return false;
  } while (data.hasMore);
  return true;
}

/** Returns whether the socket has taken all of them. */
function sendReplies(socket: Socket<Connection>): boolean {
  const { data } = socket;
  const { replies } = data;
  const written = socket.write(replies.buffer, data.sentBytes, replies.length - data.sentBytes);
  data.sentBytes += Math.max(0, written);
  if (data.sentBytes < replies.length) return false;
  data.sentBytes = 0;
  replies.clear();
  if (replies.isLast) socket.end();
  return true;
}

announce(server.port);
