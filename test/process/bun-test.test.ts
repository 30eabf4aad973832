/** `bun test` ends with the right code although a test file has left its reactor parked. */

import { expect, test } from "bun:test";
import { patient } from "../support/patience.ts";
import { PRELUDE, Script } from "../support/script.ts";

const FILE = `${PRELUDE}
import { expect, test } from "bun:test";
test("leaves a server behind", async () => {
  void run(function* main() {
    using listener = yield* listen({ port: 0, host: "127.0.0.1" });
    yield* listener.accept();
  });
  await new Promise(whenParked);
  expect(process.env.OUTCOME).toBe("pass");
});
test("runs after it", () => expect(countReactorThreads()).toBe(1));
`;

test.each([
  ["pass", 0],
  ["fail", 1],
] as const)("bun test ends with a parked reactor: %s", async (outcome, code) => {
  await using script = Script.start(FILE, {
    command: [process.execPath, "test", "--timeout", TIMEOUT],
    fileName: "parked.test.ts",
    env: { OUTCOME: outcome },
  });
  const end = await script.end();
  expect(end).toMatchObject({ exitCode: code, signal: null });
  expect(end.stderr).toContain(code === 0 ? " 2 pass" : " 1 pass");
});

test("bun test ends when two files have left the reactor parked", async () => {
  await using script = Script.start(FILE, {
    command: [process.execPath, "test", "--timeout", TIMEOUT, "./other.test.ts"],
    fileName: "parked.test.ts",
    files: { "other.test.ts": FILE },
    env: { OUTCOME: "pass" },
  });
  const end = await script.end();
  expect(end).toMatchObject({ exitCode: 0, signal: null });
  expect(end.stderr).toContain(" 4 pass");
});

/** A test that waits until the reactor is parked waits for a thread to start, which takes seconds under an emulator. */
const TIMEOUT = String(patient(5_000));
