/**
 * `bun --hot` loads the program anew in the same process: the reactor before goes, and the new code finds the field
 * free.
 */

import { expect } from "bun:test";
import { PRELUDE, Script } from "../support/script.ts";
import { NEEDS_RELOADS } from "../support/needs.ts";
import { testUnless } from "../support/platform.ts";

const RELOADS = 5;

/** A server on a fixed port, after the first generation has chosen one. */
const generation = (number: number): string => `${PRELUDE}
const port = (globalThis.port ??= 0);
run(function* main() {
  using listener = yield* listen({ port, host: "127.0.0.1" });
  globalThis.port = listener.address.port;
  whenParkedAlone(() => console.log("generation ${number}: port " + (port === 0 || port === listener.address.port)));
  for (;;) {
    using stream = yield* listener.accept();
    yield* stream.write("generation ${number}");
  }
}).catch((error) => console.log("failed:", error.message));
process.on("exit", () => console.log("exit"));
console.log("port", globalThis.port);
`;

testUnless(NEEDS_RELOADS)(
  "bun --hot keeps one reactor thread and frees the port for the code that was loaded anew",
  async () => {
    await using script = Script.start(generation(0), { command: [process.execPath, "--hot", "--no-clear-screen"] });
    await script.linesBefore("generation 0: port true");
    for (let reload = 1; reload <= RELOADS; reload++) {
      script.rewrite(generation(reload));
      // A file watcher may tell of one change twice, and so of a generation.
      const before = await script.linesBefore(`generation ${reload}: port true`);
      const port = Number(before.findLast((line) => line.startsWith("port "))!.slice("port ".length));
      expect(before.filter((line) => line.startsWith("failed"))).toEqual([]);
      expect(await textFrom(port)).toBe(`generation ${reload}`);
    }
    script.signal("SIGTERM");
    expect(await script.end()).toMatchObject({ exitCode: null, signal: "SIGTERM" });
  },
);

testUnless(NEEDS_RELOADS)(
  "bun --hot reloads a program whose tasks were in the middle of work, and runs their finally blocks",
  async () => {
    const source = (number: number): string => `${PRELUDE}
    run(function* main() {
      try {
        yield* spawn(function* other() {
          try { yield* sleep(100_000); } finally { console.log("other cleaned up ${number}"); }
        });
        whenParkedAlone(() => console.log("parked ${number}"));
        yield* sleep(100_000);
      } finally { console.log("main cleaned up ${number}"); }
    }).then(() => console.log("settled"), () => console.log("settled"));`;
    await using script = Script.start(source(0), { command: [process.execPath, "--hot", "--no-clear-screen"] });
    expect(await script.lineAfter("parked")).toBe("0");
    for (let reload = 1; reload <= 3; reload++) {
      script.rewrite(source(reload));
      const lines = new Set<string>();
      const wanted = [`main cleaned up ${reload - 1}`, `other cleaned up ${reload - 1}`, `parked ${reload}`];
      while (!wanted.every((line) => lines.has(line))) lines.add(await script.line());
      expect(lines).not.toContain("settled");
    }
    script.signal("SIGINT");
    expect(await script.end()).toMatchObject({ exitCode: null, signal: "SIGINT" });
  },
);

testUnless(NEEDS_RELOADS)("bun --hot ends with the program's own exit code", async () => {
  await using script = Script.start(
    `${PRELUDE}
    run(function* main() { yield* sleep(100_000); });
    whenParked(() => console.log("parked"));`,
    { command: [process.execPath, "--hot", "--no-clear-screen"] },
  );
  expect(await script.lineAfter("parked")).toBe("");
  script.rewrite(`${PRELUDE}
    run(function* main() { yield* sleep(100_000); });
    whenParked(() => process.exit(3));`);
  expect(await script.end()).toMatchObject({ exitCode: 3, signal: null });
});

/** What the server on the port says before it closes. */
async function textFrom(port: number): Promise<string> {
  let text = "";
  const closed = Promise.withResolvers<void>();
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data: (_, data) => void (text += data.toString()), close: () => closed.resolve() },
  });
  await closed.promise;
  return text;
}
