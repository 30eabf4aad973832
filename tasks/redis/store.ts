/** The data of the server, and the commands on it: a useful part of what https://redis.io/commands describes. */

import { Expiries } from "./expiries.ts";
import { matchesGlob } from "./glob.ts";
import { RedisList } from "./list.ts";
import type { Outgoing } from "./outgoing.ts";
import { LONGEST_STRING_BYTES, ReplyError } from "./protocol.ts";

type Value = string | RedisList;

/** What a command does with its words, the name included; it writes one reply. */
type Command = (store: Store, words: readonly string[], out: Outgoing) => void;

export class Store {
  private readonly values = new Map<string, Value>();
  readonly expiries = new Expiries();

  constructor(
    /** The time of day, in milliseconds. */
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Carries out one request. A mistake of the client is a reply as well. */
  execute(words: readonly string[], out: Outgoing): void {
    const name = words[0]!;
    const command = COMMANDS.get(name) ?? COMMANDS.get(name.toUpperCase());
    if (command === undefined) return out.reply(new ReplyError(`ERR unknown command '${name.slice(0, 128)}'`));
    if (words.length < command.leastWords || words.length > command.mostWords) return out.reply(wrongCount(name));
    try {
      command.run(this, words, out);
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      out.reply(error);
    }
  }

  /** Removes what has expired by now, or some of it: so many keys at once that others need not wait long. */
  expireDue(): void {
    for (const key of this.expiries.takeDue(this.nowMs(), MOST_EXPIRED_AT_ONCE)) this.values.delete(key);
  }

  get size(): number {
    return this.values.size;
  }

  get(key: string): Value | undefined {
    if (this.expiries.hasPassed(key, this.nowMs)) this.delete(key);
    return this.values.get(key);
  }

  text(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw new ReplyError(WRONG_TYPE);
  }

  list(key: string): RedisList | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof RedisList) return value;
    throw new ReplyError(WRONG_TYPE);
  }

  /** The list to push to, which is made if it is not there. */
  listToPush(key: string): RedisList {
    const found = this.list(key);
    if (found !== undefined) return found;
    const list = new RedisList();
    this.values.set(key, list);
    return list;
  }

  /** Sets a value, which expires no more. */
  set(key: string, value: Value): void {
    this.values.set(key, value);
    this.expiries.forget(key);
  }

  /** Sets a value, which expires when the old one would have. */
  replace(key: string, value: Value): void {
    this.values.set(key, value);
  }

  delete(key: string): boolean {
    this.expiries.forget(key);
    return this.values.delete(key);
  }

  clear(): void {
    this.values.clear();
    this.expiries.clear();
  }

  keys(): string[] {
    return [...this.values.keys()].filter((key) => this.get(key) !== undefined);
  }

  /** A time that has passed removes the key. */
  expireAt(key: string, atMs: number): void {
    if (atMs <= this.nowMs()) this.delete(key);
    else this.expiries.set(key, atMs);
  }

  /** How long the key still lives, in milliseconds; -1 without an end, -2 without a key. */
  timeLeftMs(key: string): number {
    if (this.get(key) === undefined) return -2;
    const atMs = this.expiries.get(key);
    return atMs === undefined ? -1 : atMs - this.nowMs();
  }

  now(): number {
    return this.nowMs();
  }
}

interface Entry {
  readonly leastWords: number;
  readonly mostWords: number;
  readonly run: Command;
}

const COMMANDS = new Map<string, Entry>();

function define(name: string, leastWords: number, mostWords: number, run: Command): void {
  COMMANDS.set(name, { leastWords, mostWords, run });
}

define("PING", 1, 2, (_store, words, out) => (words.length === 1 ? out.text("+PONG\r\n") : out.bulk(words[1]!)));
define("ECHO", 2, 2, (_store, words, out) => out.bulk(words[1]!));
define("QUIT", 1, Infinity, (_store, _words, out) => {
  out.text(OK);
  out.isLast = true;
});
define("SELECT", 2, 2, (_store, words, out) => {
  if (toInteger(words[1]!) !== 0) throw new ReplyError("ERR DB index is out of range");
  out.text(OK);
});
define("COMMAND", 1, Infinity, (_store, _words, out) => out.reply([]));
define("CONFIG", 2, Infinity, (_store, words, out) => {
  if (words[1]!.toUpperCase() !== "GET") throw new ReplyError("ERR this server has nothing to configure");
  out.reply(words.length === 2 ? [] : [words[2]!, ""]);
});
define("CLIENT", 2, Infinity, (_store, _words, out) => out.text(OK));
define("DBSIZE", 1, 1, (store, _words, out) => out.integer(store.size));
define("FLUSHALL", 1, 2, (store, _words, out) => {
  store.clear();
  out.text(OK);
});
define("KEYS", 2, 2, (store, words, out) => {
  out.reply(store.keys().filter((key) => matchesGlob(key, words[1]!)));
});
define("TYPE", 2, 2, (store, words, out) => {
  const value = store.get(words[1]!);
  out.text(value === undefined ? "+none\r\n" : typeof value === "string" ? "+string\r\n" : "+list\r\n");
});

define("GET", 2, 2, (store, words, out) => out.reply(store.text(words[1]!) ?? null));
define("SET", 3, 8, set);
define("SETEX", 4, 4, (store, words, out) => {
  const forMs = toDuration(words[2], 1000, "setex", store.now());
  store.set(words[1]!, words[3]!);
  store.expireAt(words[1]!, store.now() + forMs);
  out.text(OK);
});
define("SETNX", 3, 3, (store, words, out) => {
  const isNew = store.get(words[1]!) === undefined;
  if (isNew) store.set(words[1]!, words[2]!);
  out.integer(isNew ? 1 : 0);
});
define("MGET", 2, Infinity, (store, words, out) => {
  const textOrNull = (key: string): string | null => {
    const value = store.get(key);
    return typeof value === "string" ? value : null;
  };
  out.reply(words.slice(1).map(textOrNull));
});
define("MSET", 3, Infinity, (store, words, out) => {
  if (words.length % 2 === 0) throw wrongCount("MSET");
  for (let index = 1; index < words.length; index += 2) store.set(words[index]!, words[index + 1]!);
  out.text(OK);
});
define("APPEND", 3, 3, (store, words, out) => {
  const joined = (store.text(words[1]!) ?? "") + words[2]!;
  if (joined.length > LONGEST_STRING_BYTES) throw new ReplyError("ERR string exceeds maximum allowed size");
  store.replace(words[1]!, joined);
  out.integer(joined.length);
});
define("STRLEN", 2, 2, (store, words, out) => out.integer(store.text(words[1]!)?.length ?? 0));
define("INCR", 2, 2, (store, words, out) => add(store, words[1]!, 1, out));
define("DECR", 2, 2, (store, words, out) => add(store, words[1]!, -1, out));
define("INCRBY", 3, 3, (store, words, out) => add(store, words[1]!, toInteger(words[2]!), out));
define("DECRBY", 3, 3, (store, words, out) => add(store, words[1]!, -toInteger(words[2]!), out));

define("LPUSH", 3, Infinity, (store, words, out) => {
  const list = store.listToPush(words[1]!);
  for (let index = 2; index < words.length; index++) list.pushFront(words[index]!);
  out.integer(list.length);
});
define("RPUSH", 3, Infinity, (store, words, out) => {
  const list = store.listToPush(words[1]!);
  for (let index = 2; index < words.length; index++) list.pushBack(words[index]!);
  out.integer(list.length);
});
define("LPOP", 2, 2, (store, words, out) => pop(store, words[1]!, (list) => list.popFront(), out));
define("RPOP", 2, 2, (store, words, out) => pop(store, words[1]!, (list) => list.popBack(), out));
define("LLEN", 2, 2, (store, words, out) => out.integer(store.list(words[1]!)?.length ?? 0));
define("LRANGE", 4, 4, (store, words, out) => {
  const [first, last] = [toInteger(words[2]!), toInteger(words[3]!)];
  out.reply(store.list(words[1]!)?.slice(first, last) ?? []);
});
define("LINDEX", 3, 3, (store, words, out) => {
  const list = store.list(words[1]!);
  const at = list === undefined ? 0 : toInteger(words[2]!);
  out.reply(list?.slice(at, at)[0] ?? null);
});

define("DEL", 2, Infinity, (store, words, out) => {
  let deleted = 0;
  for (let index = 1; index < words.length; index++) {
    if (store.get(words[index]!) !== undefined && store.delete(words[index]!)) deleted++;
  }
  out.integer(deleted);
});
define("EXISTS", 2, Infinity, (store, words, out) => {
  let found = 0;
  for (let index = 1; index < words.length; index++) if (store.get(words[index]!) !== undefined) found++;
  out.integer(found);
});
define("EXPIRE", 3, 3, (store, words, out) => expire(store, words, 1000, out));
define("PEXPIRE", 3, 3, (store, words, out) => expire(store, words, 1, out));
define("PERSIST", 2, 2, (store, words, out) => {
  out.integer(store.timeLeftMs(words[1]!) >= 0 && store.expiries.forget(words[1]!) ? 1 : 0);
});
define("PTTL", 2, 2, (store, words, out) => out.integer(store.timeLeftMs(words[1]!)));
define("TTL", 2, 2, (store, words, out) => {
  const leftMs = store.timeLeftMs(words[1]!);
  out.integer(leftMs < 0 ? leftMs : Math.round(leftMs / 1000));
});

/** SET key value [EX seconds | PX milliseconds | KEEPTTL] [NX | XX] [GET] */
function set(store: Store, words: readonly string[], out: Outgoing): void {
  const key = words[1]!;
  const value = words[2]!;
  if (words.length === 3) {
    store.set(key, value);
    return out.text(OK);
  }
  const options = readSetOptions(words, store.now());
  const old = options.wantsOld ? store.text(key) : store.get(key);
  const isDone = !(options.onlyNew && old !== undefined) && !(options.onlyOld && old === undefined);
  if (isDone && options.keepsExpiry) store.replace(key, value);
  else if (isDone) store.set(key, value);
  if (isDone && options.forMs !== null) store.expireAt(key, store.now() + options.forMs);
  if (options.wantsOld) return out.reply((old as string | undefined) ?? null);
  if (isDone) out.text(OK);
  else out.reply(null);
}

interface SetOptions {
  forMs: number | null;
  keepsExpiry: boolean;
  onlyNew: boolean;
  onlyOld: boolean;
  wantsOld: boolean;
}

function readSetOptions(words: readonly string[], nowMs: number): SetOptions {
  const options: SetOptions = { forMs: null, keepsExpiry: false, onlyNew: false, onlyOld: false, wantsOld: false };
  for (let index = 3; index < words.length; index++) {
    const option = words[index]!.toUpperCase();
    if ((option === "EX" || option === "PX") && options.forMs === null)
      options.forMs = toDuration(words[++index], option === "EX" ? 1000 : 1, "set", nowMs);
    else if (option === "KEEPTTL") options.keepsExpiry = true;
    else if (option === "NX") options.onlyNew = true;
    else if (option === "XX") options.onlyOld = true;
    else if (option === "GET") options.wantsOld = true;
    else throw new ReplyError(SYNTAX);
  }
  if ((options.onlyNew && options.onlyOld) || (options.keepsExpiry && options.forMs !== null))
    throw new ReplyError(SYNTAX);
  return options;
}

function add(store: Store, key: string, by: number, out: Outgoing): void {
  const sum = toInteger(store.text(key) ?? "0") + by;
  if (!Number.isSafeInteger(sum)) throw new ReplyError("ERR increment or decrement would overflow");
  store.replace(key, String(sum));
  out.integer(sum);
}

function pop(store: Store, key: string, take: (list: RedisList) => string | undefined, out: Outgoing): void {
  const list = store.list(key);
  const item = list === undefined ? undefined : take(list);
  if (list?.length === 0) store.delete(key);
  out.reply(item ?? null);
}

function expire(store: Store, words: readonly string[], unitMs: number, out: Outgoing): void {
  const nowMs = store.now();
  const atMs = nowMs + unitMs * toInteger(words[2]!);
  if (!Number.isSafeInteger(atMs)) throw invalidExpiry(words[0]!);
  const isThere = store.get(words[1]!) !== undefined;
  if (isThere) store.expireAt(words[1]!, atMs);
  out.integer(isThere ? 1 : 0);
}

/** As the original server writes numbers: `7` is one, `07`, `+7` and `7.0` are none. Its range is 64 bits, here it is 54. */
function toInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && String(value) === text) return value;
  throw new ReplyError("ERR value is not an integer or out of range");
}

/** How long until then, in milliseconds. */
function toDuration(text: string | undefined, unitMs: number, command: string, nowMs: number): number {
  if (text === undefined) throw new ReplyError(SYNTAX);
  const forMs = toInteger(text) * unitMs;
  if (forMs > 0 && Number.isSafeInteger(nowMs + forMs)) return forMs;
  throw invalidExpiry(command);
}

function invalidExpiry(command: string): ReplyError {
  return new ReplyError(`ERR invalid expire time in '${command.toLowerCase()}' command`);
}

function wrongCount(command: string): ReplyError {
  return new ReplyError(`ERR wrong number of arguments for '${command.toLowerCase()}' command`);
}

/** A fraction of a millisecond's work. */
const MOST_EXPIRED_AT_ONCE = 1_000;

const OK = "+OK\r\n";
const SYNTAX = "ERR syntax error";
const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
