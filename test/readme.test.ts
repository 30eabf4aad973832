/** The README's programs run as they stand there, and print what stands there. */

import { afterAll, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { firstOf, NEEDS_LINKS } from "./support/needs.ts";
import { readPage, UserProject } from "./support/pages.ts";
import { testUnless, TYPES_CHECKED_NATIVELY } from "./support/platform.ts";

const { programs, text } = readPage("README.md");

const project = new UserProject();
afterAll(() => project[Symbol.dispose]());

/** The code block that begins with a comment of the file's name. */
function program(name: string): string {
  const found = programs.find(({ source }) => source.startsWith(`// ${name}\n`));
  if (found === undefined) throw new Error(`the README has no program ${name}`);
  return found.source;
}

function start(name: string, source: string, command: readonly string[] = []) {
  project.write(name, source);
  const stderr = command.length === 0 ? "inherit" : "ignore";
  return Bun.spawn([process.execPath, ...command, name], {
    cwd: project.folder,
    stdin: "pipe",
    stdout: "pipe",
    stderr,
  });
}

testUnless(NEEDS_LINKS)("the echo server is as short as promised, listens, and echoes", async () => {
  const source = program("echo.ts");
  const lines = source.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("//"));
  expect(lines.length).toBeLessThanOrEqual(22);

  await using server = start("echo.ts", source.replace("port: 7000", "port: 0"));
  const announced = await firstLine(server.stdout);
  expect(announced).toStartWith("listening on port ");
  expect(await echoed(Number(announced.slice("listening on port ".length)), "hello\n")).toBe("hello\n");
  server.kill();
  await server.exited;
});

testUnless(NEEDS_LINKS)("the program that waits for standard input prints what it read", async () => {
  await using reader = start("readable.ts", program("readable.ts"));
  reader.stdin.write("hello\n");
  await reader.stdin.end();
  expect(await new Response(reader.stdout).text()).toBe("read 6 bytes\n");
  expect(await reader.exited).toBe(0);
});

testUnless(NEEDS_LINKS)(
  "the server with a limit ends gracefully: it takes nobody new, and waits for those it has",
  async () => {
    const source = program("server.ts");
    const lines = source.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("//"));
    expect(lines.length).toBeLessThanOrEqual(40);

    await using server = start("server.ts", source.replace("port: 7000", "port: 0"));
    const port = Number((await firstLine(server.stdout)).slice("listening on port ".length));
    using client = await Client.connect(port);
    expect(await client.echo("before")).toBe("before");

    server.kill("SIGTERM");
    await refusesConnections(port);
    expect(await client.echo("meanwhile")).toBe("meanwhile");
    client.end();
    expect(await server.exited).toBe(0);
  },
);

testUnless(NEEDS_LINKS)("the cluster listens, echoes, and ends by a signal", async () => {
  await using server = start("cluster.ts", program("cluster.ts").replace("port: 7000", "port: 0"));
  const port = Number((await firstLine(server.stdout)).split(":").at(-1));
  using client = await Client.connect(port);
  expect(await client.echo("hello")).toBe("hello");
  client.end();
  server.kill("SIGTERM");
  // As `main` does, and a shell counts: 128 and the number of SIGTERM.
  expect(await server.exited).toBe(143);
});

testUnless(NEEDS_LINKS)(
  "the test of an hour passes, with bun test, in a project that has installed the package",
  async () => {
    await using runner = start("retry.test.ts", program("retry.test.ts"), ["test"]);
    expect(await runner.exited).toBe(0);
  },
);

testUnless(firstOf(NEEDS_LINKS, TYPES_CHECKED_NATIVELY))(
  "the programs compile under the strictest options, as they stand there",
  async () => {
    expect(await project.typeErrors(programs.map(({ source }) => source))).toBe("");
  },
);

test("each program of tasks/ is in the table, and so is no other", () => {
  const shown = [...text.matchAll(/^\| `bun tasks\/(\S+\.ts)/gm)].map(([, name]) => name!);
  const folder = fileURLToPath(new URL("../tasks", import.meta.url));
  expect(shown.toSorted()).toEqual([...new Bun.Glob("*.ts").scanSync(folder)].toSorted());
});

async function firstLine(output: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of output) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return text.split("\n")[0]!;
}

/** Sends a message and says that no more comes; returns all that comes back. */
async function echoed(port: number, message: string): Promise<string> {
  const answer = Promise.withResolvers<string>();
  let text = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      data: (_, data) => void (text += data.toString()),
      end: (ended) => void ended.end(),
      close: () => answer.resolve(text),
    },
  });
  socket.write(message);
  socket.shutdown();
  return await answer.promise;
}

/** A connection that sends a message and waits for as much in return. */
class Client implements Disposable {
  private received = "";
  private whenReceived: () => void = () => {};

  private constructor(private readonly socket: Bun.Socket<undefined>) {}

  static async connect(port: number): Promise<Client> {
    const client: { current?: Client } = {};
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_, data) => client.current?.receive(data.toString()) },
    });
    client.current = new Client(socket);
    return client.current;
  }

  async echo(message: string): Promise<string> {
    this.received = "";
    this.socket.write(message);
    while (this.received.length < message.length) await new Promise<void>((resolve) => (this.whenReceived = resolve));
    return this.received;
  }

  end(): void {
    this.socket.end();
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }

  private receive(text: string): void {
    this.received += text;
    this.whenReceived();
  }
}

/** Comes back once the listener is closed. Each look is a connection. */
async function refusesConnections(port: number): Promise<void> {
  for (;;) {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => {} } });
      socket.terminate();
    } catch {
      return;
    }
  }
}
