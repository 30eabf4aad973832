/** What must not compile, and what must come out as which type: `bun check` is the test, nothing here runs. */

import { type Operation, promise, run, sleep, spawn, type TcpStream } from "../src/index.ts";

export function* aForgottenStarDoesNotCompile(): Operation<void> {
  // @ts-expect-error: an operation is no request.
  yield sleep(1);
}

export function anAsyncFunctionIsNoTask(): void {
  // @ts-expect-error: its promise is no operation.
  void run(async () => {});
}

export function* operationsHaveTheirTypes(connection: TcpStream): Operation<[number, string, Date]> {
  const length: number = yield* connection.read(new Uint8Array(1));
  const task = yield* spawn(function* () {
    yield* sleep(1);
    return "text";
  });
  const text: string | undefined = task.hasEnded ? task.value : undefined;
  const date: Date = yield* promise(Promise.resolve(new Date()));
  // @ts-expect-error: the task's value is a string.
  const wrong: number = task.value;
  return [length + wrong, text ?? "", date];
}

export const ofARun = (): Promise<number> =>
  run(function* () {
    yield* sleep(1);
    return 1;
  });
