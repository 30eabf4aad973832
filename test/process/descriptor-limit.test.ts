/**
 * A server whose process has no descriptor left: it keeps what it has, says so once, and serves the others when there
 * is room again. And pipes in such a process.
 */

import { expect } from "bun:test";
import { connect, join, promise, run, spawn } from "../../src/index.ts";
import { leftSince, openSockets, patternOf } from "../support/loopback.ts";
import { PRELUDE, Script } from "../support/script.ts";
import { testUnless } from "../support/platform.ts";
import { NEEDS_SHELL } from "../support/needs.ts";

/** Many more connections than the process may have descriptors. */
const CONNECTIONS = 150;
const DESCRIPTOR_LIMIT = 64;

/** An echo server that ends when it has served so many; the connections stay open until their client has closed. */
const SERVER = `${PRELUDE}
process.on("warning", ({ name, message }) => console.log("warning:", name, message));
await run(function* main() {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  whenUp(() => console.log(listener.address.port));
  for (let count = 0; count < ${CONNECTIONS}; count++) {
    const stream = yield* listener.accept();
    yield* spawn(function* serve() {
      using owned = stream;
      const buffer = new Uint8Array(64);
      for (let bytes; (bytes = yield* owned.read(buffer)) > 0; ) yield* owned.write(buffer.subarray(0, bytes));
    });
  }
});
console.log("served all");
`;

/** Bun raises the soft limit to the hard one, and sh lowers both. */
const LIMITED = ["sh", "-c", `ulimit -n ${DESCRIPTOR_LIMIT} && exec "$0" "$@"`, process.execPath];

testUnless(NEEDS_SHELL)(
  "accept survives the descriptor limit: one warning, and all are served once others have closed",
  async () => {
    await using script = Script.start(SERVER, {
      command: LIMITED,
    });
    const port = Number(await script.line());
    const before = openSockets();
    const warned = script.line();
    const answered = await run(function* main() {
      const streams = [];
      for (let index = 0; index < CONNECTIONS; index++) streams.push(yield* connect({ port, host: "127.0.0.1" }));
      yield* promise(warned);
      let count = 0;
      const clients = [];
      for (const [index, stream] of streams.entries()) {
        clients.push(
          yield* spawn(function* client() {
            using owned = stream;
            const message = patternOf(64, index);
            yield* owned.write(message);
            const answer = new Uint8Array(64);
            yield* owned.readExactly(answer);
            if (Buffer.compare(answer, message) === 0) count++;
          }),
        );
      }
      for (const client of clients) yield* join(client);
      return count;
    });
    expect(answered).toBe(CONNECTIONS);
    expect(await warned).toBe(
      `warning: BunReactorWarning accept EMFILE 127.0.0.1:${port}: too many open files. ` +
        "Connections wait until others are closed; raise the limit with ulimit -n",
    );
    expect(await script.line()).toBe("served all");
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(0);
    expect(stderr.match(/EMFILE/g)).toHaveLength(1);
    expect(leftSince(before)).toEqual([]);
  },
);

/** Opens pipes until no descriptor is left, and each way of asking for more; then makes room, and opens one again. */
const PIPES = `${PRELUDE}
import { readdirSync } from "node:fs";
const { makeNamedPipe, openNamedPipe, openPipe, park, timeout } = reactor;
const count = () => readdirSync("/proc/self/fd").length;
const codeOf = function* (operation) {
  try {
    yield* operation;
    return "none";
  } catch (error) {
    return error.code + " " + error.syscall;
  }
};
const path = "./the-pipe";
await run(function* main() {
  // What the reactor needs itself is opened by then.
  yield* timeout(60_000, park(({ succeed }) => whenUp(() => succeed())));
  yield* makeNamedPipe(path);
  const pipes = [];
  let code;
  for (;;) {
    try {
      pipes.push(yield* openPipe());
    } catch (error) {
      code = error.code + " " + error.syscall;
      break;
    }
  }
  console.log(code);
  // A pipe needs two, so that one may be left.
  const reader = yield* codeOf(openNamedPipe(path, "read"));
  if (reader === "none") console.log(yield* codeOf(openNamedPipe(path, "read")));
  else console.log(reader);
  // What is open can still be waited for, read and written.
  const [first] = pipes;
  yield* first.writer.write("x");
  console.log(yield* first.reader.read(new Uint8Array(8)));
  pipes.pop()[Symbol.dispose]();
  const before = count();
  for (let round = 0; round < 10; round++) {
    const again = yield* openPipe();
    console.log(yield* codeOf(openPipe()));
    again[Symbol.dispose]();
  }
  console.log(count() - before);
});
`;

testUnless(NEEDS_SHELL)(
  "a pipe that meets the descriptor limit says EMFILE and leaves nothing, and the others go on",
  async () => {
    await using script = Script.start(PIPES, { command: LIMITED });
    expect(await script.line()).toBe("EMFILE pipe");
    expect(await script.line()).toBe("EMFILE open");
    expect(await script.line()).toBe("1");
    for (let round = 0; round < 10; round++) expect(await script.line()).toBe("EMFILE pipe");
    expect(await script.line()).toBe("0");
    expect((await script.end()).exitCode).toBe(0);
  },
);
