/** `handler`: tasks that answer the requests of a real `Bun.serve`, and of clients that go away. */

import { afterAll, describe, expect, test } from "bun:test";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { spawn } from "../../src/core/task-operations.ts";
import { handler, type RequestTask } from "../../src/handler.ts";
import { shutdown } from "../../src/run.ts";
import { toReadableStream } from "../../src/to-host.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { PRELUDE, Script } from "../support/script.ts";
import { listenersOf } from "./virtually.ts";

type Server = Bun.Server<undefined>;

/** A server whose requests are answered by a task, and what it had to do with them. */
class Served implements AsyncDisposable {
  readonly errors: unknown[] = [];
  readonly statuses: number[] = [];
  readonly requests: Request[] = [];
  readonly server: Server;
  private answered = Promise.withResolvers<void>();

  constructor(task: RequestTask<Request, Server>) {
    const answer = handler(task);
    this.server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request, server) => {
        this.requests.push(request);
        try {
          const response = await answer(request, server);
          this.statuses.push(response.status);
          return response;
        } finally {
          this.answered.resolve();
        }
      },
      error: (error) => {
        this.errors.push(error);
        return new Response("failed", { status: 500 });
      },
    });
  }

  get url(): string {
    return this.server.url.href;
  }

  /** Waits until the first request is answered, whether or not the client still waits. */
  whenAnswered(): Promise<void> {
    return this.answered.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop(true);
  }
}

afterAll(() => shutdown());

describe("handler", () => {
  test("answers with what the task returns", async () => {
    await using served = new Served(function* answer(request, server): Operation<Response> {
      yield* sleep(1);
      return new Response(`${request.method} ${new URL(request.url).pathname} ${server.port === served.server.port}`);
    });
    expect(await (await fetch(`${served.url}path`, { method: "POST" })).text()).toBe("POST /path true");
    expect(listenersOf(served.requests[0]!.signal)).toBe(0);
  });

  test("serves a route, with its parameters", async () => {
    await using server: Server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      routes: {
        "/users/:id": handler(function* answer(request, own) {
          const id: string = request.params.id;
          yield* sleep(1);
          return new Response(`user ${id} at ${own.port === server.port}`);
        }),
      },
    });
    expect(await (await fetch(`${server.url}users/7`)).text()).toBe("user 7 at true");
  });

  test("answers requests at the same time", async () => {
    const both = Promise.withResolvers<void>();
    let count = 0;
    await using served = new Served(function* answer() {
      if (++count === 2) both.resolve();
      yield* promise(both.promise);
      return new Response("answered");
    });
    const texts = await Promise.all([1, 2].map(async () => (await fetch(served.url)).text()));
    expect(texts).toEqual(["answered", "answered"]);
  });

  test("waits for the children of the task", async () => {
    const log: string[] = [];
    await using served = new Served(function* answer() {
      yield* spawn(function* child() {
        yield* sleep(1);
        log.push("child");
      });
      return new Response("answered");
    });
    await fetch(served.url);
    expect(log).toEqual(["child"]);
  });

  test("gives what the task throws to the error function of the server", async () => {
    const error = new Error("of the task");
    await using served = new Served(function* answer(): Operation<Response> {
      yield* sleep(1);
      throw error;
    });
    const response = await fetch(served.url);
    expect([response.status, await response.text()]).toEqual([500, "failed"]);
    expect(served.errors).toEqual([error]);
    expect(listenersOf(served.requests[0]!.signal)).toBe(0);
  });

  test("cancels the task and its children when the client goes away, and awaits their clean-up", async () => {
    const log: string[] = [];
    const arrived = Promise.withResolvers<void>();
    await using served = new Served(function* answer() {
      yield* spawn(function* child() {
        try {
          yield* sleep(Infinity);
        } finally {
          yield* sleep(1);
          log.push("child");
        }
      });
      try {
        arrived.resolve();
        yield* sleep(Infinity);
      } finally {
        yield* sleep(1);
        log.push("main");
      }
      return new Response("never");
    });
    const client = new AbortController();
    const asking = rejectionOf(fetch(served.url, { signal: client.signal }));
    await arrived.promise;
    client.abort();
    expect((await asking).name).toBe("AbortError");
    await served.whenAnswered();
    expect(log).toEqual(["child", "main"]);
    expect(served.statuses).toEqual([499]);
    expect(served.errors).toEqual([]);
    expect(listenersOf(served.requests[0]!.signal)).toBe(0);
  });

  test("does not begin for a client that is gone already", async () => {
    let hasBegun = false;
    const answer = handler<Request, undefined>(function* answer() {
      hasBegun = true;
      return new Response();
    });
    const response = await answer(new Request("http://localhost/", { signal: AbortSignal.abort() }), undefined);
    expect(response.status).toBe(499);
    expect(hasBegun).toBe(false);
  });

  test("tells of an error that comes up when the client is gone, which the server would ignore", async () => {
    const late = Promise.withResolvers<[error: unknown, request: Request]>();
    const arrived = Promise.withResolvers<void>();
    const answer = handler<Request, Server>(
      function* answer() {
        try {
          arrived.resolve();
          yield* sleep(Infinity);
        } finally {
          throwError("of the clean-up");
        }
        return new Response("never");
      },
      { onLateError: (error, request) => late.resolve([error, request]) },
    );
    await using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
    const client = new AbortController();
    const asking = rejectionOf(fetch(`${server.url}path`, { signal: client.signal }));
    await arrived.promise;
    client.abort();
    await asking;
    const [error, request] = await late.promise;
    expect((error as Error).message).toBe("of the clean-up");
    expect(new URL(request.url).pathname).toBe("/path");
  });

  test("cancels the tasks when the server is stopped at once", async () => {
    const log: string[] = [];
    const arrived = Promise.withResolvers<void>();
    await using served = new Served(function* answer() {
      try {
        arrived.resolve();
        yield* sleep(Infinity);
      } finally {
        log.push("cleaned up");
      }
      return new Response("never");
    });
    const asking = rejectionOf(fetch(served.url));
    await arrived.promise;
    await served.server.stop(true);
    await asking;
    await served.whenAnswered();
    expect(log).toEqual(["cleaned up"]);
    expect(served.errors).toEqual([]);
  });

  test("cancels the task of a streamed body when the client goes away in the middle of it", async () => {
    const cleanedUp = Promise.withResolvers<void>();
    await using served = new Served(function* answer() {
      return new Response(
        toReadableStream<Uint8Array>(function* body(emit) {
          try {
            for (;;) yield* emit(new Uint8Array(1024));
          } finally {
            cleanedUp.resolve();
          }
        }),
      );
    });
    const client = new AbortController();
    const response = await fetch(served.url, { signal: client.signal });
    const reader = response.body!.getReader();
    await reader.read();
    client.abort();
    await rejectionOf(reader.read());
    await cleanedUp.promise;
    expect(served.statuses).toEqual([200]);
    expect(served.errors).toEqual([]);
  });

  test("refuses what is no function, and answers with an error for what is no generator function", async () => {
    expect(() => handler({} as never)).toThrow(
      "handler() takes a generator function (function*), but was given an object",
    );
    await using served = new Served((async () => new Response()) as never);
    expect((await fetch(served.url)).status).toBe(500);
    expect((served.errors[0] as Error).name).toBe("TypeError");
  });
});

/** A server in a process of its own, whose only client goes away. */
function startLeft(cleanUp: string): Script {
  const at = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  return Script.start(`${PRELUDE}
    import { handler } from ${at("handler.ts")};
    import { main } from ${at("main.ts")};
    await main(function* program() {
      const arrived = Promise.withResolvers();
      const cleanedUp = Promise.withResolvers();
      const client = new AbortController();
      const server = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: handler(function* answer() {
          try { arrived.resolve(); yield* sleep(Infinity); } finally { cleanedUp.resolve(); ${cleanUp} }
        }),
      });
      try {
        const asking = fetch(server.url, { signal: client.signal }).catch(({ name }) => console.log(name));
        yield* promise(arrived.promise);
        client.abort();
        yield* promise(asking);
        yield* promise(cleanedUp.promise);
      } finally {
        yield* promise(server.stop());
      }
      console.log("stopped");
    });`);
}

test("a client that goes away makes a server print nothing", async () => {
  await using script = startLeft("");
  expect(await script.line()).toBe("AbortError");
  expect(await script.line()).toBe("stopped");
  expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
});

test("an error that comes up when the client is gone is printed, unless there is a function for it", async () => {
  await using script = startLeft(`throw new Error("of the clean-up");`);
  expect(await script.lineAfter("stopped")).toBe("");
  const { exitCode, stderr } = await script.end();
  expect(exitCode).toBe(0);
  expect(stderr).toStartWith("Error: of the clean-up\n");
});
