/** Programs as users write them, who have `bun-reactor` installed. */

/** An echo over loopback, in which all tasks wait for the reactor thread once. Prints "hello". */
export const ECHO = `
import { connect, listen, run, sleep, spawn } from "bun-reactor";

await run(function* main() {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  yield* spawn(function* server() {
    using connection = yield* listener.accept();
    const line = yield* connection.readUntil("\\n");
    yield* sleep(1);
    yield* connection.write(line);
  });
  using connection = yield* connect({ host: "127.0.0.1", port: listener.address.port });
  yield* connection.write("hello\\n");
  console.log(new TextDecoder().decode(yield* connection.readToEnd()));
});
`;
