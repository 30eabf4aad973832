/** The data of the server, and the commands on it: a useful part of what https://redis.io/commands describes. */

import { Expiries } from "./expiries.ts";
import { RedisList } from "./list.ts";
import { type Outgoing, ReplyError } from "./protocol.ts";

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
    if (words.length < command.leastWords || words.length > command.mostWords)
      return out.reply(new ReplyError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`));
    try {
      command.run(this, words, out);
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      out.reply(error);
    }
  }

  /** Removes what has expired by now. */
  expireDue(): void {
    for (const key of this.expiries.takeDue(this.nowMs())) this.values.delete(key);
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

define("PING", 1, 2, (_store, [, text], out) => (text === undefined ? out.text("+PONG\r\n") : out.bulk(text)));
define("ECHO", 2, 2, (_store, [, text], out) => out.bulk(text!));
define("SELECT", 2, 2, (_store, [, index], out) => {
  if (index !== "0") throw new ReplyError("ERR DB index is out of range");
  out.text(OK);
});
define("COMMAND", 1, Infinity, (_store, _words, out) => out.reply([]));
define("CONFIG", 2, Infinity, (_store, [, verb, name], out) => {
  if (verb!.toUpperCase() !== "GET") throw new ReplyError("ERR this server has nothing to configure");
  out.reply(name === undefined ? [] : [name, ""]);
});
define("CLIENT", 2, Infinity, (_store, _words, out) => out.text(OK));
define("DBSIZE", 1, 1, (store, _words, out) => out.reply(store.size));
define("FLUSHALL", 1, 2, (store, _words, out) => {
  store.clear();
  out.text(OK);
});
define("KEYS", 2, 2, (store, [, pattern], out) => {
  const glob = new Bun.Glob(pattern!);
  out.reply(store.keys().filter((key) => glob.match(key)));
});
define("TYPE", 2, 2, (store, [, key], out) => {
  const value = store.get(key!);
  out.text(value === undefined ? "+none\r\n" : typeof value === "string" ? "+string\r\n" : "+list\r\n");
});

define("GET", 2, 2, (store, [, key], out) => out.reply(store.text(key!) ?? null));
define("SET", 3, 8, set);
define("SETEX", 4, 4, (store, [, key, seconds, value], out) => {
  store.set(key!, value!);
  store.expireAt(key!, store.now() + toDuration(seconds!, "setex") * 1000);
  out.text(OK);
});
define("SETNX", 3, 3, (store, [, key, value], out) => {
  const isNew = store.get(key!) === undefined;
  if (isNew) store.set(key!, value!);
  out.reply(isNew ? 1 : 0);
});
define("MGET", 2, Infinity, (store, [, ...keys], out) => {
  const textOrNull = (key: string): string | null => {
    const value = store.get(key);
    return typeof value === "string" ? value : null;
  };
  out.reply(keys.map(textOrNull));
});
define("MSET", 3, Infinity, (store, words, out) => {
  if (words.length % 2 === 0) throw new ReplyError("ERR wrong number of arguments for 'mset' command");
  for (let index = 1; index < words.length; index += 2) store.set(words[index]!, words[index + 1]!);
  out.text(OK);
});
define("APPEND", 3, 3, (store, [, key, text], out) => {
  const joined = (store.text(key!) ?? "") + text!;
  store.replace(key!, joined);
  out.reply(joined.length);
});
define("STRLEN", 2, 2, (store, [, key], out) => out.reply(store.text(key!)?.length ?? 0));
define("INCR", 2, 2, (store, [, key], out) => add(store, key!, 1, out));
define("DECR", 2, 2, (store, [, key], out) => add(store, key!, -1, out));
define("INCRBY", 3, 3, (store, [, key, by], out) => add(store, key!, toInteger(by!), out));
define("DECRBY", 3, 3, (store, [, key, by], out) => add(store, key!, -toInteger(by!), out));

define("LPUSH", 3, Infinity, (store, [, key, ...items], out) => {
  const list = store.listToPush(key!);
  for (const item of items) list.pushFront(item);
  out.reply(list.length);
});
define("RPUSH", 3, Infinity, (store, [, key, ...items], out) => {
  const list = store.listToPush(key!);
  for (const item of items) list.pushBack(item);
  out.reply(list.length);
});
define("LPOP", 2, 2, (store, [, key], out) => pop(store, key!, (list) => list.popFront(), out));
define("RPOP", 2, 2, (store, [, key], out) => pop(store, key!, (list) => list.popBack(), out));
define("LLEN", 2, 2, (store, [, key], out) => out.reply(store.list(key!)?.length ?? 0));
define("LRANGE", 4, 4, (store, [, key, first, last], out) => {
  out.reply(store.list(key!)?.slice(toInteger(first!), toInteger(last!)) ?? []);
});
define("LINDEX", 3, 3, (store, [, key, index], out) => {
  const at = toInteger(index!);
  out.reply(store.list(key!)?.slice(at, at)[0] ?? null);
});

define("DEL", 2, Infinity, (store, [, ...keys], out) => {
  out.reply(keys.filter((key) => store.get(key) !== undefined && store.delete(key)).length);
});
define("EXISTS", 2, Infinity, (store, [, ...keys], out) => {
  out.reply(keys.filter((key) => store.get(key) !== undefined).length);
});
define("EXPIRE", 3, 3, (store, [, key, seconds], out) => expire(store, key!, toInteger(seconds!) * 1000, out));
define("PEXPIRE", 3, 3, (store, [, key, ms], out) => expire(store, key!, toInteger(ms!), out));
define("PERSIST", 2, 2, (store, [, key], out) => {
  out.reply(store.timeLeftMs(key!) >= 0 && store.expiries.forget(key!) ? 1 : 0);
});
define("PTTL", 2, 2, (store, [, key], out) => out.reply(store.timeLeftMs(key!)));
define("TTL", 2, 2, (store, [, key], out) => {
  const leftMs = store.timeLeftMs(key!);
  out.reply(leftMs < 0 ? leftMs : Math.round(leftMs / 1000));
});

/** SET key value [EX seconds | PX milliseconds | KEEPTTL] [NX | XX] [GET] */
function set(store: Store, words: readonly string[], out: Outgoing): void {
  const key = words[1]!;
  const value = words[2]!;
  if (words.length === 3) {
    store.set(key, value);
    return out.text(OK);
  }
  const options = readSetOptions(words);
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

function readSetOptions(words: readonly string[]): SetOptions {
  const options: SetOptions = { forMs: null, keepsExpiry: false, onlyNew: false, onlyOld: false, wantsOld: false };
  for (let index = 3; index < words.length; index++) {
    const option = words[index]!.toUpperCase();
    if (option === "EX" || option === "PX") {
      const duration = toDuration(words[++index], "set");
      options.forMs = option === "EX" ? duration * 1000 : duration;
    } else if (option === "KEEPTTL") options.keepsExpiry = true;
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
  out.reply(sum);
}

function pop(store: Store, key: string, take: (list: RedisList) => string | undefined, out: Outgoing): void {
  const list = store.list(key);
  const item = list === undefined ? undefined : take(list);
  if (list?.length === 0) store.delete(key);
  out.reply(item ?? null);
}

function expire(store: Store, key: string, forMs: number, out: Outgoing): void {
  const isThere = store.get(key) !== undefined;
  if (isThere) store.expireAt(key, store.now() + forMs);
  out.reply(isThere ? 1 : 0);
}

function toInteger(text: string): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new ReplyError("ERR value is not an integer or out of range");
}

function toDuration(text: string | undefined, command: string): number {
  if (text === undefined) throw new ReplyError(SYNTAX);
  const duration = toInteger(text);
  if (duration > 0) return duration;
  throw new ReplyError(`ERR invalid expire time in '${command}' command`);
}

const OK = "+OK\r\n";
const SYNTAX = "ERR syntax error";
const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
