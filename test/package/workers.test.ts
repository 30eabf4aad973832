/** The package in Workers of the user: each has an executor and a reactor of its own. */

import { expect, setDefaultTimeout } from "bun:test";
import { afterAll, beforeAll, test } from "./support/natively.ts";
import { Project } from "./support/project.ts";
import { PACK_LIMIT_MS, PROGRAMS_LIMIT_MS } from "./support/tarball.ts";

setDefaultTimeout(PROGRAMS_LIMIT_MS);

/** In each Worker: a server that echoes one line back, after all of the Worker's tasks have waited. */
const WORKER = `
import { listen, run, sleep } from "bun-reactor";
import { parentPort, workerData } from "node:worker_threads";

await run(function* main() {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  parentPort.postMessage(listener.address.port);
  using connection = yield* listener.accept();
  const line = yield* connection.readUntil("\\n");
  yield* sleep(1);
  yield* connection.write("worker " + workerData + ": " + new TextDecoder().decode(line));
});
`;

/** In the main thread: a client of each, all at once. */
const main = (count: number, worker: string): string => `
import { all, connect, run } from "bun-reactor";
import { Worker } from "node:worker_threads";

const workers = Array.from({ length: ${count} }, (_, index) => new Worker(new URL("${worker}", import.meta.url), { workerData: index }));
const ends = workers.map((worker) => new Promise((resolve) => worker.once("exit", resolve)));
const ports = await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
const answers = await run(() => all(ports.map((port) => function* client() {
  using connection = yield* connect({ host: "127.0.0.1", port });
  yield* connection.write("hello\\n");
  return new TextDecoder().decode(yield* connection.readToEnd());
})));
console.log(answers.join(", "));
console.log((await Promise.all(ends)).join(" "));
`;

let project: Project;

beforeAll(async () => {
  project = await Project.install();
  project.write("worker.ts", WORKER);
}, PACK_LIMIT_MS);
afterAll(() => project[Symbol.dispose]());

test.each([1, 4])("%d Workers at once serve, each on a reactor of its own, and end by themselves", async (count) => {
  project.write("main.ts", main(count, "./worker.ts"));
  const answers = Array.from({ length: count }, (_, index) => `worker ${index}: hello`).join(", ");
  const ends = Array.from({ length: count }, () => 0).join(" ");
  expect(await project.bun(["main.ts"])).toEqual({ exitCode: 0, stdout: `${answers}\n${ends}\n`, stderr: "" });
});

test("a Worker of the user in an executable serves as well", async () => {
  const executable = process.platform === "win32" ? "served.exe" : "served";
  project.write("main.ts", main(2, "./worker.ts"));
  const built = await project.bun(["build", "--compile", "main.ts", "worker.ts", "--outfile", executable]);
  expect(built).toMatchObject({ exitCode: 0 });
  expect(await project.run([`./${executable}`], { environment: { TMPDIR: project.folder } })).toEqual({
    exitCode: 0,
    stdout: "worker 0: hello, worker 1: hello\n0 0\n",
    stderr: "",
  });
});

test("a web Worker can be terminated while its tasks wait, and the program ends", async () => {
  project.write(
    "waits.ts",
    `import { run, sleep } from "bun-reactor";
     void run(function* main() { postMessage("started"); yield* sleep(100_000); });`,
  );
  project.write(
    "terminates.ts",
    `const worker = new Worker(new URL("./waits.ts", import.meta.url));
     await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
     const closed = new Promise((resolve) => worker.addEventListener("close", resolve, { once: true }));
     worker.terminate();
     await closed;
     console.log("closed");`,
  );
  expect(await project.bun(["terminates.ts"])).toEqual({ exitCode: 0, stdout: "closed\n", stderr: "" });
});
