/** What must not compile, and what must come out as which type: `bun check` is the test, nothing here runs. */

import {
  all,
  allSettled,
  any,
  Channel,
  currentTask,
  deadline,
  each,
  interval,
  join,
  map,
  moveOnAfter,
  Mutex,
  onCancel,
  type Operation,
  promise,
  race,
  retry,
  run,
  type Scope,
  scope,
  select,
  type Settled,
  shield,
  sleep,
  spawn,
  type Task,
  TaskLocal,
  type TcpStream,
  type TimeLimit,
  timeout,
  use,
} from "../src/index.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if the value is exactly of type `T`: neither wider nor narrower, nor `any`. */
function exactly<T>(): <V>(value: V, equal: Equal<V, T>) => void {
  return () => {};
}

function* number(): Operation<number> {
  yield* sleep(1);
  return 1;
}

function* text(): Operation<string> {
  yield* sleep(1);
  return "text";
}

export function* aForgottenStarDoesNotCompile(channel: Channel<string>): Operation<void> {
  // @ts-expect-error: an operation is no request.
  yield sleep(1);
  // @ts-expect-error: nor is a generator that is one.
  yield number();
  // @ts-expect-error: nor is a race.
  yield race([sleep(1), number]);
  // @ts-expect-error: nor is a region.
  yield timeout(1, number);
  // @ts-expect-error: nor is a receive.
  yield channel.receive();
  // @ts-expect-error: nor is a promise.
  yield Promise.resolve(1);
}

export function anAsyncFunctionIsNoTask(): void {
  // @ts-expect-error: its promise is no operation.
  void run(async () => {});
  // @ts-expect-error
  void spawn(async () => {});
  // @ts-expect-error
  void race([sleep(1), async () => 1]);
  // @ts-expect-error
  void timeout(1, async () => 1);
  // @ts-expect-error
  void all({ a: async () => 1 });
}

export function* operationsHaveTheirTypes(connection: TcpStream): Operation<[number, string, Date]> {
  const length: number = yield* connection.read(new Uint8Array(1));
  const task = yield* spawn(function* () {
    yield* sleep(1);
    return "text";
  });
  const value: string | undefined = task.hasEnded ? task.value : undefined;
  const date: Date = yield* promise(Promise.resolve(new Date()));
  // @ts-expect-error: the task's value is a string.
  const wrong: number = task.value;
  return [length + wrong, value ?? "", date];
}

export const ofARun = (): Promise<number> =>
  run(function* () {
    yield* sleep(1);
    return 1;
  });

export function* spawnAndJoin(): Operation<void> {
  const ofFunction = yield* spawn(number);
  exactly<Task<number>>()(ofFunction, true);
  const ofGenerator = yield* spawn(text());
  exactly<Task<string>>()(ofGenerator, true);
  const ofOperation = yield* spawn(sleep(1));
  exactly<Task<void>>()(ofOperation, true);
  const joined = yield* join(ofFunction);
  exactly<number>()(joined, true);
  const self = yield* currentTask();
  exactly<Task<unknown>>()(self, true);
  // @ts-expect-error: a body that needs something has nobody to give it.
  yield* spawn(function* (needed: string) {
    yield* sleep(needed.length);
  });
}

export function* scopes(): Operation<void> {
  const value = yield* scope(function* (own) {
    exactly<Scope>()(own, true);
    const child = yield* own.spawn(text);
    exactly<Task<string>>()(child, true);
    return yield* join(child);
  });
  exactly<string>()(value, true);
  const ofOperation = yield* scope(number());
  exactly<number>()(ofOperation, true);
  const union = yield* scope(function* () {
    if (Math.random() < 0.5) return null;
    return yield* number();
  });
  exactly<number | null>()(union, true);
}

export function* limitsAndShields(): Operation<void> {
  const limited = yield* timeout(1, function* (limit) {
    exactly<TimeLimit>()(limit, true);
    limit.expireAfter(5);
    return yield* number();
  });
  exactly<number>()(limited, true);
  const ofOperation = yield* timeout(1, text());
  exactly<string>()(ofOperation, true);
  const ofFunction = yield* timeout(1, () => text());
  exactly<string>()(ofFunction, true);

  const until = yield* deadline(1, function* (limit) {
    exactly<TimeLimit>()(limit, true);
    return yield* text();
  });
  exactly<string>()(until, true);

  const maybe = yield* moveOnAfter(1, function* (limit) {
    exactly<TimeLimit>()(limit, true);
    return yield* text();
  });
  exactly<string | undefined>()(maybe, true);
  const maybeNumber = yield* moveOnAfter(1, number);
  exactly<number | undefined>()(maybeNumber, true);

  const shielded = yield* shield(number);
  exactly<number>()(shielded, true);
  const nested = yield* shield(timeout(1, () => race([number, text()])));
  exactly<number | string>()(nested, true);

  // @ts-expect-error: the limit is no string.
  yield* timeout(1, function* (limit: string) {
    yield* sleep(limit.length);
  });
}

export function* races(channel: Channel<Date>, mutex: Mutex): Operation<void> {
  const ofAll = yield* race([number, text(), sleep(1)]);
  exactly<number | string | void>()(ofAll, true);
  const ofReceives = yield* race([channel.receive(), () => channel.receive()]);
  exactly<Date>()(ofReceives, true);
  const ofBodies = yield* race([
    function* () {
      using _guard = yield* mutex.lock();
      return { a: 1 };
    },
    () => text(),
  ]);
  exactly<{ a: number } | string>()(ofBodies, true);
  const literal = yield* race([
    function* () {
      return "won" as const;
    },
    function* () {
      yield* sleep(1);
      return null;
    },
  ]);
  exactly<"won" | null>()(literal, true);
  const nested = yield* race([race([number, text]), () => race([sleep(1)])]);
  exactly<number | string | void>()(nested, true);

  const arms: Operation<number>[] = [number(), number()];
  const ofArray = yield* race(arms);
  exactly<number>()(ofArray, true);
  const readonlyArms: readonly (() => Operation<string>)[] = [text];
  exactly<string>()(yield* race(readonlyArms), true);

  // @ts-expect-error: a number is no arm.
  void race([sleep(1), 5]);
  // @ts-expect-error: an arm that needs something has nobody to give it.
  void race([(needed: string) => sleep(needed.length)]);

  const first = yield* any([number, text(), () => channel.receive()]);
  exactly<number | string | Date>()(first, true);
}

export function* allOfThem(channel: Channel<Date>): Operation<void> {
  const tuple = yield* all([number, text(), sleep(1), () => channel.receive()]);
  exactly<[number, string, void, Date]>()(tuple, true);
  const [count, word] = tuple;
  exactly<number>()(count, true);
  exactly<string>()(word, true);
  // @ts-expect-error: there are four.
  void tuple[4];

  const record = yield* all({
    count: number,
    word: text(),
    *body() {
      yield* sleep(1);
      return [true];
    },
  });
  exactly<{ count: number; word: string; body: boolean[] }>()(record, true);

  const list = yield* all(["a", "b"].map((name) => () => spawn(text, { name })));
  exactly<Task<string>[]>()(list, true);
  const nested = yield* all([all([number]), all({ a: text })]);
  exactly<[[number], { a: string }]>()(nested, true);
  const none = yield* all([]);
  exactly<[]>()(none, true);

  const settled = yield* allSettled([number, text()]);
  exactly<[Settled<number>, Settled<string>]>()(settled, true);
  if (settled[0].status === "fulfilled") exactly<number>()(settled[0].value, true);
  else exactly<unknown>()(settled[0].reason, true);
  const settledRecord = yield* allSettled({ count: number });
  exactly<{ count: Settled<number> }>()(settledRecord, true);

  // @ts-expect-error: a number is no arm.
  void all([number, 5]);
  // @ts-expect-error: nor is it in an object.
  void all({ count: 5 });
  // @ts-expect-error: one operation is no list of them.
  void all(sleep(1));
}

export function* selects(jobs: Channel<{ id: number }>, lines: Channel<string>): Operation<string> {
  const selected = yield* select({
    job: jobs.receive(),
    line: () => lines.receive(),
    limit: sleep(1),
    *body() {
      yield* sleep(1);
      return 5n;
    },
  });
  exactly<"job" | "line" | "limit" | "body">()(selected.key, true);
  switch (selected.key) {
    case "job":
      exactly<{ id: number }>()(selected.value, true);
      return String(selected.value.id);
    case "line":
      exactly<string>()(selected.value, true);
      return selected.value;
    case "body":
      exactly<bigint>()(selected.value, true);
      return String(selected.value);
    case "limit":
      exactly<void>()(selected.value, true);
      return "";
    // All cases are there, so the end of the function is not reached.
  }
}

export function* aSelectIsNotNarrowedByAnUnknownKey(jobs: Channel<number>): Operation<void> {
  const selected = yield* select({ job: jobs.receive(), limit: sleep(1) });
  // @ts-expect-error: there is no such arm.
  if (selected.key === "jobs") return;
  // @ts-expect-error: it may be that of the limit.
  const item: number = selected.value;
  void item;
  // @ts-expect-error: a list has no keys to tell.
  void select([sleep(1)]);
}

export function* mapsAndRetries(): Operation<void> {
  const values = yield* map(["a", "b"], { concurrency: 2 }, function* (item, index) {
    exactly<string>()(item, true);
    exactly<number>()(index, true);
    yield* sleep(index);
    return item.length > index;
  });
  exactly<boolean[]>()(values, true);
  const entries = yield* map(new Map([["a", 1]]), { concurrency: Infinity }, ([key, value]) =>
    race([text(), sleep(key.length + value)]),
  );
  exactly<(string | void)[]>()(entries, true);
  // @ts-expect-error: how many at a time is for the caller to say.
  void map([1], number);
  // @ts-expect-error: work is an operation.
  void map([1], { concurrency: 1 }, (item) => item);

  const value = yield* retry(
    function* (attempt) {
      exactly<number>()(attempt, true);
      return yield* text();
    },
    { times: 3, when: (error, attempt) => error instanceof Error && attempt < 2 },
  );
  exactly<string>()(value, true);
  exactly<number>()(yield* retry(number, { times: 3 }), true);
  // @ts-expect-error: how often is for the caller to say.
  void retry(number, {});
}

export function* usesAndCancels(): Operation<void> {
  class File implements AsyncDisposable {
    readonly name = "a file";
    async [Symbol.asyncDispose](): Promise<void> {}
  }
  function* open(): Operation<File> {
    yield* sleep(1);
    return new File();
  }
  const used = yield* use(new File(), function* (file) {
    exactly<File>()(file, true);
    return yield* number();
  });
  exactly<number>()(used, true);
  const opened = yield* use(open(), function* (file) {
    exactly<File>()(file, true);
    return file.name.length > 1;
  });
  exactly<boolean>()(opened, true);
  // @ts-expect-error: nobody knows how to dispose of a date.
  void use(new Date(), number);

  const watched = yield* onCancel(number, (reason) => exactly<unknown>()(reason, true));
  exactly<number>()(watched, true);
  exactly<string>()(yield* onCancel(text(), () => sleep(1)), true);
}

export function* loops(channel: Channel<Date>, stream: ReadableStream<Uint8Array>): Operation<void> {
  for (const date of yield* each(channel)) {
    exactly<Date>()(date, true);
    yield* each.next();
  }
  for (const tick of yield* each(interval(1))) {
    exactly<number>()(tick, true);
    yield* each.next();
  }
  for (const chunk of yield* each(stream)) {
    exactly<Uint8Array>()(chunk, true);
    yield* each.next();
  }
  // @ts-expect-error: one does not wait for what is there already.
  void each([1, 2]);
}

export function* locals(): Operation<void> {
  const user = new TaskLocal<string | null>(null);
  exactly<string | null>()(yield* user.get(), true);
  yield* user.set("ada");
  exactly<number>()(yield* user.with("bob", number()), true);
  // @ts-expect-error: a user's name is a string.
  yield* user.set(5);
}

export function* theCheckOfTypesCanFail(): Operation<void> {
  const value = yield* number();
  // @ts-expect-error: it is a number.
  exactly<string>()(value, true);
  // @ts-expect-error: it is nothing else.
  exactly<number | undefined>()(value, true);
  // @ts-expect-error: it is known.
  exactly<unknown>()(value, true);
  // @ts-expect-error: JSON.parse gives any.
  exactly<number>()(JSON.parse("1"), true);
}
