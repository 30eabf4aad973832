/** The small HTTP/1.1 of tasks/http, both roles, at the bytes. test/real/http.test.ts has it with programs of others. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  all,
  type ByteStream,
  type Operation,
  run,
  type TcpStream,
  timeout,
  TimeoutError,
  UnexpectedEndError,
} from "../../src/index.ts";
import { HttpClient, type HttpRequest } from "../../tasks/http/client.ts";
import { HttpError } from "../../tasks/http/head.ts";
import { type HttpAnswer, type HttpServerRequest, serveHttp } from "../../tasks/http/server.ts";
import { OTHER, SERVER } from "../support/certificates.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { connectToSelf, errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { runToEnd } from "./program.ts";
import { describeUnless } from "../support/platform.ts";
import { NEEDS_SIGNALS } from "../support/needs.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

beforeAll(openReactor);

describe("the server", () => {
  expectNothingLeftBehind();

  test.each<[string, string | Uint8Array, string, string]>([
    ["no request", "nonsense\r\n\r\n", "400", "the first line is no request"],
    ["another version", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "400", "the first line is no request"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", "400", "Host is missing"],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400", "host comes twice"],
    ["a field without a name", "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "400", "no field"],
    ["a blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400", "no field"],
    ["a folded line", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "400", "no field"],
    ["a bare line feed", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "400", "no proper end"],
    ["a NUL", "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n", "400", "no proper end"],
    ["a head without end", `GET / HTTP/1.1\r\nA: ${"x".repeat(40_000)}`, "431", "longer than 32768 bytes"],
    ["a length that is none", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", "400", "no number"],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "400",
      "comes twice",
    ],
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "400",
      "both Content-Length and Transfer-Encoding",
    ],
    [
      "an unknown coding",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "501",
      "is not known",
    ],
    ["a chunk without length", `${CHUNKED}zz\r\n`, "400", "does not begin with its length"],
    ["a chunk that is longer than it says", `${CHUNKED}2\r\nabc\r\n0\r\n\r\n`, "400", "longer than it says"],
    ["a chunk's length without end", `${CHUNKED}${"1".repeat(2_000)}`, "400", "longer than 1024 bytes"],
    ["too large a body", `${CHUNKED}fffff\r\n${"x".repeat(0xfffff)}\r\nfffff\r\n`, "413", "longer than 1000 bytes"],
  ])("answers %s with a status, and closes", (_name, request, status, words) =>
    withServer(function* main(client) {
      yield* client.write(request);
      const answer = Buffer.from(yield* client.readToEnd()).toString();
      expect(answer).toStartWith(`HTTP/1.1 ${status} `);
      expect(answer).toContain("Connection: close\r\n");
      expect(answer).toContain(words);
    }),
  );

  test("answers requests that come together one after the other, in order", () =>
    withServer(function* main(client) {
      const requests = ["a", "bb", "ccc"].map(
        (text) => `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      );
      yield* client.write(`\r\n${requests.join("")}GET /quiet HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const answers = Buffer.from(yield* client.readToEnd()).toString();
      expect(answers.match(/^(?:POST|GET) .*$/gm)).toEqual([
        "POST / 1 a",
        "POST / 2 bb",
        "POST / 3 ccc",
        "GET /quiet 0 ",
      ]);
    }));

  test("passes over a body that nobody wants, and HEAD brings none back", () =>
    withServer(function* main(client) {
      yield* client.write("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde");
      yield* client.write(
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      );
      const answers = Buffer.from(yield* client.readToEnd()).toString();
      expect(answers.split(/(?=HTTP\/1\.1 )/)).toEqual([
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunread\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
      ]);
    }));

  test("a client of HTTP/1.0 gets pieces without chunks, up to the end", () =>
    withServer(function* main(client) {
      yield* client.write("GET /pieces HTTP/1.0\r\n\r\n");
      expect(Buffer.from(yield* client.readToEnd()).toString()).toBe(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwo",
      );
    }));

  test("a failure is answered with 500, and thrown", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      yield* client.write("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
      expect((yield* errorOf(serveHttp(server, answer))).message).toBe("broken");
      server.close();
      expect(Buffer.from(yield* client.readToEnd()).toString()).toStartWith("HTTP/1.1 500 ");
    }));

  test("a client that says nothing is let go after a while", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      using _server = server;
      expect(yield* errorOf(serveHttp(server, answer, { silenceMs: 5 }))).toBeInstanceOf(TimeoutError);
    }));

  test("a client that takes nothing of an answer is let go after a while, of a whole one as of pieces", () =>
    run(function* main() {
      const large = new Uint8Array(64 * 1024 * 1024);
      const pieces: HttpAnswer["body"] = function* body(write) {
        for (;;) yield* write("x".repeat(100_000));
      };
      for (const body of [large, pieces]) {
        const { client, server } = yield* connectToSelf();
        using _client = client;
        using _server = server;
        yield* client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        const serving = serveHttp(
          server,
          function* answerMuch() {
            return { body };
          },
          { silenceMs: 5 },
        );
        expect(yield* errorOf(serving)).toBeInstanceOf(TimeoutError);
      }
    }));

  test("a client that does not go on with a body is told so, and let go", () =>
    run(function* main() {
      for (const begun of ["Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]) {
        const { client, server } = yield* connectToSelf();
        using _client = client;
        yield* client.write(`POST / HTTP/1.1\r\nHost: x\r\n${begun}`);
        yield* serveHttp(server, answer, { silenceMs: 5 });
        server.close();
        expect(Buffer.from(yield* client.readToEnd()).toString()).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
      }
    }));

  test("a line's end in a field of the program's own is refused", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      using _server = server;
      yield* client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      const splitting = serveHttp(server, function* split() {
        return { fields: { "X-Name": "a\r\nSet-Cookie: b" } };
      });
      expect(yield* errorOf(splitting)).toBeInstanceOf(TypeError);
    }));
});

describeUnless(NEEDS_SIGNALS)("tasks/https.ts", () => {
  test.each([
    ["no certificate", SERVER.keyFile, SERVER.keyFile],
    ["the key of another", SERVER.certFile, OTHER.keyFile],
  ])("refuses %s with exit code 2, before anybody has connected", async (_name, certFile, keyFile) => {
    const { exitCode, stdout, stderr } = await runToEnd("https.ts", "--cert", certFile, "--key", keyFile);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith("--cert and --key must be a certificate and its key as PEM: ");
  });
});

describe("the client", () => {
  expectNothingLeftBehind();

  test("asks again and again on one connection, with and without a body, whole or in pieces", () =>
    withServer(function* main(stream) {
      const http = new HttpClient(stream, "example");
      const pieces: HttpRequest["body"] = function* body(write) {
        for (let piece = 0; piece < 50; piece++) yield* write("x".repeat(piece));
      };
      for (const [request, text] of [
        [{ target: "/" }, "GET / 0 \n"],
        [{ method: "POST", target: "/p", body: "zażółć" }, "POST /p 10 zażółć\n"],
        [{ method: "PUT", target: "/q", body: pieces }, `PUT /q 1225 ${"x".repeat(1225)}\n`],
        [{ method: "HEAD", target: "/" }, ""],
        [{ target: "/pieces" }, "onetwo"],
      ] as const) {
        const response = yield* http.request(request);
        expect([response.status, response.reason]).toEqual([200, "OK"]);
        expect(yield* response.body.text({ limitBytes: 2_000 })).toBe(text);
        expect(http.isReusable).toBe(true);
      }
      const last = yield* http.request({ target: "/", fields: { Connection: "close" } });
      expect(http.isReusable).toBe(false);
      expect((yield* errorOf(http.request({ target: "/" }))).message).toContain("must be read first");
      yield* last.body.text();
      expect((yield* errorOf(http.request({ target: "/" }))).message).toContain("answers no more");
    }));

  test.each<[string, string, string]>([
    [
      "chunks with extensions and trailers",
      `${OK}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n`,
      "abc0123456789",
    ],
    ["an answer up to the end", `${OK}\r\nall that comes`, "all that comes"],
    [
      "announcements first",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      "ok",
    ],
    ["no reason, and a length of zero", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""],
  ])("reads %s", (_name, answer, text) =>
    withAnswer(answer, function* main(http) {
      expect(yield* (yield* http.request({ target: "/" })).body.text()).toBe(text);
    }),
  );

  test.each<[string, string, abstract new (...args: never[]) => Error, string]>([
    ["no answer at all", "", HttpError, "instead of answering"],
    ["what is no answer", "SSH-2.0-OpenSSH_9.2\r\n\r\n", HttpError, "no answer of HTTP/1.1"],
    ["half a head", "HTTP/1.1 200 OK\r\nA: b\r\n", UnexpectedEndError, "ended after"],
    ["half a body", `${OK}Content-Length: 10\r\n\r\nhalf`, UnexpectedEndError, "ended after 4 of 10 bytes"],
    [
      "half the chunks",
      `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
      UnexpectedEndError,
      "before its last chunk",
    ],
    ["half a chunk", `${OK}Transfer-Encoding: chunked\r\n\r\nff\r\nabc`, UnexpectedEndError, "before its last chunk"],
  ])("%s is an error", (_name, answer, kind, words) =>
    withAnswer(answer, function* main(http) {
      const error = yield* errorOf(
        (function* ask() {
          yield* (yield* http.request({ target: "/" })).body.text();
        })(),
      );
      expect(error).toBeInstanceOf(kind);
      expect(error.message).toContain(words);
    }),
  );

  test("a target or a field with an end of line in it is refused", () =>
    withAnswer(`${OK}Content-Length: 0\r\n\r\n`, function* main(http, stream) {
      expect(yield* errorOf(http.request({ target: "/ HTTP/1.1\r\nX: y" }))).toBeInstanceOf(HttpError);
      const other = new HttpClient(stream, "a\r\nX: y");
      expect(yield* errorOf(other.request({ target: "/" }))).toBeInstanceOf(TypeError);
    }));

  test("waits with what it sends for a server that is slower, and reads no faster than it is asked", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      using _server = server;
      const sent = patternOf(3_000_000);
      const [, received] = yield* all([
        () =>
          serveHttp(server, function* mirror({ body }) {
            const bytes = yield* body.readToEnd({ limitBytes: 4_000_000 });
            return { body: (write) => write(bytes) };
          }),
        function* ask() {
          const http = new HttpClient(client, "x");
          const response = yield* http.request({ method: "POST", target: "/", body: sent });
          const bytes = yield* response.body.readToEnd({ limitBytes: 4_000_000 });
          yield* client.shutdown();
          return bytes;
        },
      ]);
      expect(new Uint8Array(received)).toEqual(sent);
    }));
});

function* answer(request: HttpServerRequest): Operation<HttpAnswer> {
  const { method, target, body } = request;
  if (target === "/broken") throw new Error("broken");
  if (target === "/unread") return { body: "unread\n" };
  if (target !== "/pieces") {
    const bytes = yield* body.readToEnd({ limitBytes: target === "/q" ? 2_000 : 1_000 });
    return { body: `${method} ${target} ${bytes.byteLength} ${Buffer.from(bytes).toString()}\n` };
  }
  return {
    *body(write) {
      for (const piece of ["one", "", "two"]) yield* write(piece);
    },
  };
}

/** A client's stream to a server that answers as above. */
function withServer(body: (stream: TcpStream) => Operation<void>): Promise<void> {
  return run(function* main() {
    const { client, server } = yield* connectToSelf();
    using _server = server;
    yield* all([
      () => serveHttp(server, answer),
      function* ask() {
        using stream = client;
        yield* timeout(20_000, () => body(stream));
      },
    ]);
  });
}

/** A client whose server sends this and ends, whatever it is asked. */
function withAnswer(text: string, body: (http: HttpClient, stream: ByteStream) => Operation<void>): Promise<void> {
  return run(function* main() {
    const { client, server } = yield* connectToSelf();
    using stream = client;
    using _server = server;
    yield* server.write(text);
    yield* server.shutdown();
    yield* body(new HttpClient(stream, "example"), stream);
  });
}
