/**
 * A client of Redis whose calls many tasks may make at once: they share one connection and are pipelined on it. When the
 * connection breaks, it is made anew, and the calls that were under way fail: only their tasks know whether to repeat them.
 */

import {
  Channel,
  connect,
  exponential,
  type Operation,
  race,
  retry,
  spawn,
  SystemError,
  type Task,
  type TcpStream,
} from "../../src/index.ts";
import { Outgoing } from "./outgoing.ts";
import { ProtocolError, type Reply } from "./protocol.ts";
import { Replies } from "./replies.ts";

export interface RedisOptions {
  readonly port: number;
  readonly host?: string | undefined;
  /** How often to try to connect before giving up; by default for ever, twice as long after each time. */
  readonly attempts?: number | undefined;
  /** Called with the reason when a connection is lost or cannot be made. */
  readonly onLost?: ((reason: Error) => void) | undefined;
}

/** The connection broke before the reply came: whether the command was carried out is not known. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  readonly code = "ERR_REDIS_CONNECTION_LOST";
}

/** A command, and where its reply goes. The task that waits for it may be cancelled; the reply comes all the same. */
interface Call {
  readonly words: readonly string[];
  readonly outcome: Channel<Reply | ConnectionLostError>;
}

/**
 * Begins to connect, and stays connected until it is closed, or its scope ends.
 *
 *     using redis = yield* openRedis({ port: 6379 });
 *     yield* redis.call("SET", "greeting", "hello");
 */
export function* openRedis(options: RedisOptions): Operation<Redis> {
  const redis = new Redis(options);
  redis.keeper = yield* spawn(() => redis.keepConnected(), { name: "redis connection", daemon: true });
  return redis;
}

export class Redis implements Disposable {
  /** The task that makes the connection, and makes it again. */
  keeper: Task<void> | null = null;
  /** What is to be sent. A full one makes callers wait. */
  private readonly calls = new Channel<Call>(MOST_UNSENT, { name: "redis calls" });
  /** What was sent, in the order in which the replies will come. */
  private sent: Call[] = [];

  /** For `openRedis`. */
  constructor(private readonly options: RedisOptions) {}

  /**
   * Sends a command and waits for its reply; one that has a single reply, so not SUBSCRIBE or MONITOR.
   * @param words each character is one byte: see `encodeText`
   * @throws TypeError if there are no words, or others; ReplyError if the server refuses it; ConnectionLostError if the
   *   connection breaks meanwhile; ClosedError after `close`
   */
  *call(...words: readonly string[]): Operation<Reply> {
    checkWords(words);
    const outcome = new Channel<Reply | ConnectionLostError>(1);
    yield* this.calls.send({ words, outcome });
    const reply = yield* outcome.receive();
    if (reply instanceof Error) throw reply;
    return reply;
  }

  close(): void {
    this.keeper?.cancel();
    for (let call = this.calls.tryReceive(); call !== null; call = this.calls.tryReceive()) this.sent.push(call.value);
    this.calls.close();
    this.failSent("the client was closed");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For `openRedis`. */
  *keepConnected(): Operation<void> {
    for (;;) {
      using connection = yield* this.connectAgain();
      try {
        yield* race([this.sendAll(connection), this.receiveAll(connection)]);
      } catch (error) {
        if (!(error instanceof SystemError || error instanceof ConnectionLostError || error instanceof ProtocolError))
          throw error;
        this.options.onLost?.(error);
      } finally {
        this.failSent("the connection to the server was lost before the reply came");
      }
    }
  }

  private connectAgain(): Operation<TcpStream> {
    const { port, host = "localhost", attempts = Infinity, onLost } = this.options;
    return retry(() => connect({ port, host, timeoutMs: CONNECT_TIMEOUT_MS }), {
      times: attempts,
      backoff: exponential(FIRST_WAIT_MS, { longestMs: LONGEST_WAIT_MS }),
      jitter: 0.5,
      when: (error) => {
        onLost?.(error as Error);
        return true;
      },
    });
  }

  /** What is there by the time goes out in one piece. */
  private *sendAll(connection: TcpStream): Operation<void> {
    connection.noDelay();
    const out = new Outgoing();
    for (;;) {
      let call: Call | undefined = yield* this.calls.receive();
      for (; call !== undefined; call = this.calls.tryReceive()?.value) {
        this.sent.push(call);
        out.request(call.words);
        if (out.length > BATCH_BYTES) break;
      }
      yield* connection.write(out.buffer, 0, out.length);
      out.clear();
    }
  }

  private *receiveAll(connection: TcpStream): Operation<void> {
    const replies = new Replies();
    for (;;) {
      const bytes = yield* connection.read(replies.room());
      if (bytes === 0) throw new ConnectionLostError("the server has closed the connection");
      replies.received(bytes);
      for (let reply = replies.next(); reply !== undefined; reply = replies.next()) {
        const call = this.sent.shift();
        if (call === undefined) throw new ProtocolError("a reply came that nobody has asked for");
        call.outcome.trySend(reply);
      }
    }
  }

  private failSent(reason: string): void {
    const { sent } = this;
    this.sent = [];
    for (const call of sent) call.outcome.trySend(new ConnectionLostError(reason));
  }
}

/** No words would have no reply, and what is no byte would arrive as another. */
function checkWords(words: readonly string[]): void {
  if (words.length === 0) throw new TypeError("call: a command has a name at the least");
  for (const word of words) {
    if (NO_BYTE.test(word))
      throw new TypeError(
        `call: ${JSON.stringify(word)} has characters that are no bytes: encodeText makes bytes of them`,
      );
  }
}

const NO_BYTE = /[^\0-\xff]/;

const CONNECT_TIMEOUT_MS = 5_000;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

/** As many calls as may wait to be sent while the server is slow, or away. */
const MOST_UNSENT = 1_024;

/** More at once would only delay the first. */
const BATCH_BYTES = 65_536;
