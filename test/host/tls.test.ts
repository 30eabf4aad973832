/** TLS over streams: what is agreed upon, who is trusted, and what goes wrong. test/io/byte-stream.test.ts has the rest. */

import { beforeAll, describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { createSecureContext, rootCertificates } from "node:tls";
import {
  all,
  allSettled,
  blockOn,
  type ByteStream,
  cancel,
  ClosedError,
  join,
  type Operation,
  run,
  sleep,
  spawn,
  SystemError,
  timeout,
  TimeoutError,
  tlsAccept,
  type TlsAcceptOptions,
  tlsConnect,
  type TlsConnectOptions,
  TlsError,
  UnexpectedEndError,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import { ClientHello, INCOMPLETE } from "../../src/host/client-hello.ts";
import { Random } from "../../src/testing/random.ts";
import { AUTHORITY, CLIENT, EXPIRED, OTHER, SERVER, STRANGER } from "../support/certificates.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { connectToSelf, errorOf, openReactor, patternOf, readAll } from "../support/loopback.ts";
import { Script } from "../support/script.ts";
import { tlsOver, tlsToSelf, type TlsPairOptions } from "../support/tls.ts";

beforeAll(openReactor);

describe("a session", () => {
  expectNothingLeftBehind();

  test("knows the version, the name, the peer's certificate and what was agreed upon", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf({
        client: { alpnProtocols: ["h2", "http/1.1"] },
        server: { alpnProtocols: ["http/1.1", "h3"] },
      });
      using _client = client;
      using _server = server;
      for (const side of [client, server]) {
        expect(side.protocol).toBe("TLSv1.3");
        expect(side.alpnProtocol).toBe("http/1.1");
        expect(side.serverName).toBe("localhost");
        expect(side.verificationError).toBeNull();
      }
      expect(client.peerCertificate!.subject.CN).toBe("server");
      expect(server.peerCertificate).toBeNull();
      expect(client.label).toMatch(/^TLS with localhost over connection /);
    }));

  test("without ALPN nothing is agreed upon, and an address is verified but not sent", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf({ client: { serverName: "127.0.0.1" } });
      using _client = client;
      using _server = server;
      expect([client.alpnProtocol, server.alpnProtocol, server.serverName]).toEqual([null, null, null]);
    }));

  test("speaks TLS 1.2 when it must", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf({ server: { maxVersion: "TLSv1.2" } });
      using _client = client;
      using _server = server;
      expect([client.protocol, server.protocol]).toEqual(["TLSv1.2", "TLSv1.2"]);
      yield* client.write("question\n");
      yield* client.shutdown();
      expect(Buffer.from(yield* server.readToEnd()).toString()).toBe("question\n");
      yield* server.shutdown();
      expect(yield* client.read(new Uint8Array(1))).toBe(0);
    }));

  test("takes contexts that were made once for many", () =>
    run(function* main() {
      const [ours, theirs] = [createSecureContext({ ca: AUTHORITY.cert }), createSecureContext(SERVER)];
      for (let round = 0; round < 3; round++) {
        const { client, server } = yield* tlsToSelf({
          client: { ca: undefined, secureContext: ours },
          server: { cert: undefined, key: undefined, secureContext: theirs },
        });
        client.close();
        server.close();
      }
    }));

  test("comes to stand over a stream that brings one byte at a time, and its bytes come through", () =>
    run(function* main() {
      const below = yield* connectToSelf();
      const selectCertificate = (): null => null;
      const { client, server } = yield* tlsOver(dribbling(below.client), dribbling(below.server), {
        server: { selectCertificate },
      });
      using _client = client;
      using _server = server;
      expect(server.serverName).toBe("localhost");
      const sent = patternOf(5_000);
      const writing = yield* spawn(() => client.write(sent));
      const received = new Uint8Array(5_000);
      yield* server.readExactly(received);
      expect(received).toEqual(sent);
      yield* join(writing);
    }));

  test("what the client sends together with the end of its handshake is not lost", () =>
    run(function* main() {
      const below = yield* connectToSelf();
      const [, text] = yield* all([
        function* client() {
          using secure = yield* tlsConnect(below.client, { serverName: "localhost", ca: AUTHORITY.cert });
          yield* secure.writeAll(["first", " ", "words"]);
          yield* secure.shutdown();
          yield* secure.readToEnd();
        },
        function* server() {
          using secure = yield* tlsAccept(below.server, SERVER);
          const words = yield* secure.readToEnd();
          yield* secure.shutdown();
          return Buffer.from(words).toString();
        },
      ]);
      expect(text).toBe("first words");
    }));

  test("after its own end a side reads on, all that is under way", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf();
      using _client = client;
      using _server = server;
      const sent = patternOf(300_000);
      // The end is sent at once, but the server looks at it only when it has written all.
      yield* client.shutdown();
      const writing = yield* spawn(() => server.write(sent));
      const received = new Uint8Array(sent.byteLength);
      yield* client.readExactly(received);
      yield* join(writing);
      expect(received).toEqual(sent);
      expect(yield* server.read(new Uint8Array(1))).toBe(0);
    }));

  test("once the other side has ended, a write says so", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf();
      using _client = client;
      using _server = server;
      yield* client.shutdown();
      expect(yield* server.read(new Uint8Array(1))).toBe(0);
      const error = yield* errorOf(server.write("too late"));
      expect(error).toBeInstanceOf(SystemError);
      expect(error.code).toBe("EPIPE");
      expect(error.message).toContain("the other side has ended the session");
    }));

  test("one task at a time writes, and a shutdown waits for nobody", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf();
      using _client = client;
      using _server = server;
      const writing = yield* spawn(() => client.write(new Uint8Array(32_000_000)));
      yield* yieldNow();
      for (const act of [() => client.write("x"), () => client.writeAll(["x"]), () => client.shutdown()])
        expect((yield* errorOf(act())).message).toContain("is being written to by another task");
      yield* cancel(writing);
    }));

  test("a write that is cancelled half-way refuses further ones, and reading goes on", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf();
      using _client = client;
      using _server = server;
      const writing = yield* spawn(() => client.write(new Uint8Array(32_000_000)));
      yield* yieldNow();
      yield* cancel(writing);
      const error = yield* errorOf(client.write("more"));
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toContain("was broken off before");
      yield* server.write("still here\n");
      expect((yield* client.lines().next()).value).toBe("still here");
    }));
});

describe("a server with several names", () => {
  expectNothingLeftBehind();

  test.each([
    ["localhost", "server"],
    ["other.example", "other"],
    ["a.wild.example", "other"],
    ["127.0.0.1", "server"],
  ])("shows %s the certificate of %s", (serverName, commonName) =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf({ client: { serverName }, server: { selectCertificate: byName } });
      using _client = client;
      using _server = server;
      expect(client.peerCertificate!.subject.CN).toBe(commonName);
      expect(server.serverName).toBe(/^\d/.test(serverName) ? null : serverName);
    }),
  );

  test("may look the certificate up in an operation, and have a context ready", () =>
    run(function* main() {
      const context = createSecureContext(OTHER);
      const asked: (string | null)[] = [];
      function* selectCertificate(name: string | null): Operation<typeof context> {
        asked.push(name);
        yield* sleep(1);
        return context;
      }
      const { client, server } = yield* tlsToSelf({
        client: { serverName: "OTHER.example" },
        server: { selectCertificate },
      });
      client.close();
      server.close();
      expect(asked).toEqual(["other.example"]);
    }));

  test("refuses a name by throwing, which ends the session for both", () =>
    run(function* main() {
      const [client, server] = yield* outcomes({
        server: {
          selectCertificate() {
            throw new Error("no such name here");
          },
        },
      });
      expect(server.message).toBe("no such name here");
      expect(client).toBeInstanceOf(Error);
    }));
});

describe("who is not trusted is refused:", () => {
  expectNothingLeftBehind();

  test.each<[string, TlsPairOptions, string, string]>([
    ["an expired certificate", { server: EXPIRED }, "CERT_HAS_EXPIRED", "certificate has expired"],
    [
      "a certificate of another host",
      { client: { serverName: "elsewhere.example" } },
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "elsewhere.example. is not in the cert's altnames",
    ],
    [
      "a certificate of another address",
      { client: { serverName: "127.0.0.2" } },
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "127.0.0.2",
    ],
    ["a certificate that is signed by itself", { server: STRANGER }, "DEPTH_ZERO_SELF_SIGNED_CERT", "as ca"],
    [
      "a certificate of an unknown authority",
      { client: { ca: rootCertificates[0]! } },
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "pass its authority's certificate as ca",
    ],
  ])("%s", (_name, options, code, words) =>
    run(function* main() {
      const [client, server] = yield* outcomes(options);
      expect(client).toBeInstanceOf(TlsError);
      expect((client as TlsError).code).toBe(code);
      expect(client.message).toContain(words);
      expect(client.message).toStartWith(`TLS with ${options.client?.serverName ?? "localhost"} over connection `);
      expect(server).toBeInstanceOf(Error);
    }),
  );

  test("unless that is not asked for, and then the session says why it should be", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf({ client: { rejectUnauthorized: false }, server: STRANGER });
      using _client = client;
      using _server = server;
      expect(client.verificationError).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
      yield* client.write("x");
      expect(yield* server.read(new Uint8Array(1))).toBe(1);
    }));

  test("a client without the certificate that the server requires", () =>
    run(function* main() {
      const server = { requestCert: true, ca: AUTHORITY.cert };
      const [client, refused] = yield* outcomes({ server });
      expect((refused as TlsError).code).toBe("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
      // With TLS 1.3 a client's handshake is done before the server has looked at its certificate: it hears at its first read.
      expect(client).toBeInstanceOf(TlsError);
      expect(client.message).toContain("the other side refused: certificate required");
    }));

  test("a client with a certificate of its own making; one of the authority is welcome", () =>
    run(function* main() {
      const server = { requestCert: true, ca: AUTHORITY.cert };
      const [, refused] = yield* outcomes({ server, client: { cert: STRANGER.cert, key: STRANGER.key } });
      expect((refused as TlsError).code).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
      const welcome = yield* tlsToSelf({ server, client: { cert: CLIENT.cert, key: CLIENT.key } });
      expect(welcome.server.peerCertificate!.subject.CN).toBe("client");
      welcome.client.close();
      welcome.server.close();
    }));

  test("a peer without a protocol in common", () =>
    run(function* main() {
      const [client, server] = yield* outcomes({ client: { alpnProtocols: ["a"] }, server: { alpnProtocols: ["b"] } });
      expect((client as TlsError).message).toContain("the other side refused: no application protocol");
      expect((server as TlsError).code).toBe("ERR_SSL_NO_APPLICATION_PROTOCOL");
    }));
});

describe("what is no TLS, or not all of it:", () => {
  expectNothingLeftBehind();

  test("a server that answers in plain text", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      yield* server.write("HTTP/1.1 400 Bad Request\r\n\r\n");
      const error = yield* errorOf(tlsConnect(client, { serverName: "localhost", ca: AUTHORITY.cert }));
      expect(error).toBeInstanceOf(TlsError);
      expect(error.message).toContain("the other side does not speak TLS (wrong version number)");
      expect(client.isClosed).toBe(true);
      server.close();
    }));

  test.each([
    ["a request in plain text", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", {}],
    [
      "a request in plain text, to a server with names",
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      { selectCertificate: byName },
    ],
    ["noise", patternOf(4_000), {}],
    ["a record that is a lie", Uint8Array.of(22, 3, 1, 0, 5, 1, 0, 0, 1, 9), { selectCertificate: byName }],
  ])("a client that sends %s", (_name, text, options: Partial<TlsAcceptOptions>) =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      yield* client.write(text);
      const error = yield* errorOf(tlsAccept(server, { ...SERVER, ...options }));
      expect(error).toBeInstanceOf(TlsError);
      expect(server.isClosed).toBe(true);
      // The alert has come, then the end, or a reset because not all was read.
      yield* allSettled([() => readAll(client)]);
      client.close();
    }),
  );

  test("a client that refuses with an alert in plain text, as OpenSSL's do", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      const hello = yield* helloOf("localhost");
      const [, error] = yield* all([
        function* refuse() {
          yield* client.write(hello);
          yield* client.read(new Uint8Array(4_096));
          yield* client.write(Uint8Array.of(21, 3, 3, 0, 2, 2, 48));
        },
        () => errorOf(serverOver(server)),
      ]);
      expect(error).toBeInstanceOf(TlsError);
      expect(error.message).toContain("the other side refused: unknown ca");
    }));

  test("a peer that ends during the handshake, in both roles", () =>
    run(function* main() {
      for (const begin of [
        clientOver,
        serverOver,
        (stream: ByteStream) => serverOver(stream, { selectCertificate: byName }),
      ]) {
        const { client, server } = yield* connectToSelf();
        server.close();
        const error = yield* errorOf(begin(client));
        expect(error).toBeInstanceOf(UnexpectedEndError);
        expect(error.message).toContain("before the handshake of TLS was done");
        expect(client.isClosed).toBe(true);
      }
    }));

  test("a peer that never says a word is given up at a limit of time, in both roles", () =>
    run(function* main() {
      for (const begin of [clientOver, serverOver]) {
        const { client, server } = yield* connectToSelf();
        expect(yield* errorOf(timeout(5, begin(client)))).toBeInstanceOf(TimeoutError);
        expect(client.isClosed).toBe(true);
        server.close();
      }
    }));

  test("a connection that is closed without a word is cut off, and no end; what came before is there", () =>
    run(function* main() {
      const { client, server } = yield* tlsToSelf();
      using _client = client;
      yield* server.write("half of a mess");
      server.close();
      const received = new Uint8Array(14);
      yield* client.readExactly(received);
      expect(Buffer.from(received).toString()).toBe("half of a mess");
      for (let again = 0; again < 2; again++) {
        const error = yield* errorOf(client.read(received));
        expect(error).toBeInstanceOf(UnexpectedEndError);
        expect((error as unknown as UnexpectedEndError).receivedBytes).toBe(14);
        expect(error.message).toContain("before the close_notify");
      }
      expect(yield* errorOf(client.readToEnd())).toBeInstanceOf(UnexpectedEndError);
    }));

  test("an end is heard although the connection below stays open", () =>
    run(function* main() {
      const below = yield* connectToSelf();
      const { client, server } = yield* tlsOver(withoutShutdown(below.client), below.server);
      using _client = client;
      using _server = server;
      yield* client.write("last words");
      yield* client.shutdown();
      expect(Buffer.from(yield* server.readToEnd()).toString()).toBe("last words");
    }));

  test.each<["client" | "server", "TLSv1.2" | "TLSv1.3"]>([
    ["client", "TLSv1.2"],
    ["client", "TLSv1.3"],
    ["server", "TLSv1.2"],
    ["server", "TLSv1.3"],
  ])(
    "bytes that were tampered with are no end to the %s of %s, but an error, after those before them",
    (role, maxVersion) =>
      run(function* main() {
        const below = yield* connectToSelf();
        const pair = yield* tlsOver(below.client, below.server, { client: { maxVersion } });
        const other = role === "client" ? "server" : "client";
        using reader = pair[role];
        using writer = pair[other];
        yield* writer.write("fine");
        yield* below[other].write(Uint8Array.of(23, 3, 3, 0, 30, ...patternOf(30)));
        const received = new Uint8Array(4);
        yield* reader.readExactly(received);
        expect(Buffer.from(received).toString()).toBe("fine");
        for (const read of [() => reader.read(received), () => reader.readToEnd()]) {
          const error = yield* errorOf(read());
          expect(error).toBeInstanceOf(TlsError);
          expect(error.code).toBe("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
        }
        expect(yield* errorOf(reader.write("x"))).toBeInstanceOf(TlsError);
      }),
  );
});

describe("arguments", () => {
  expectNothingLeftBehind();

  test.each<[string, (stream: ByteStream) => Operation<unknown>, string]>([
    [
      "no name",
      (stream) => tlsConnect(stream, {} as TlsConnectOptions),
      "serverName must be a name or an address, but is undefined",
    ],
    [
      "an empty name",
      (stream) => tlsConnect(stream, { serverName: "" }),
      'serverName must be a name or an address, but is ""',
    ],
    ["no certificate", (stream) => tlsAccept(stream, {}), "a server needs a certificate, but cert is missing"],
    [
      "no key",
      (stream) => tlsAccept(stream, { cert: SERVER.cert }),
      "a server needs a certificate, but key is missing",
    ],
    [
      "a certificate that is none",
      (stream) => tlsAccept(stream, { ...SERVER, cert: "none" }),
      "the certificate or the key cannot be used",
    ],
    [
      "a key of another certificate",
      (stream) => tlsAccept(stream, { cert: SERVER.cert, key: OTHER.key }),
      "(key values mismatch)",
    ],
  ])("%s is refused, and the stream closed", (_name, begin, words) =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      const error = yield* errorOf(begin(client));
      expect(error.message).toContain(words);
      expect(client.isClosed).toBe(true);
      server.close();
    }),
  );

  test("inside blockOn both roles say that they cannot work there", () =>
    blockOn(function* main() {
      for (const begin of [clientOver, serverOver]) {
        const { client, server } = yield* connectToSelf();
        const error = yield* errorOf(begin(client));
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toContain("use run instead");
        expect(client.isClosed).toBe(true);
        server.close();
      }
    }));
});

describe("the first message of a client", () => {
  test("is incomplete up to its last byte, then has the name, however it is cut into records", async () => {
    const hello = await run(helloOf("Some.Example"));
    for (let length = 0; length < hello.byteLength; length += 1)
      expect(serverNameIn(hello.subarray(0, length))).toBe(INCOMPLETE);
    expect(serverNameIn(hello)).toBe("some.example");
    const body = hello.subarray(5);
    const records: number[] = [];
    for (let at = 0; at < body.byteLength; at += 100) {
      const part = body.subarray(at, at + 100);
      records.push(22, 3, 1, 0, part.byteLength, ...part);
    }
    expect(serverNameIn(Uint8Array.from(records))).toBe("some.example");
    expect(serverNameIn(Uint8Array.from(records.slice(0, 250)))).toBe(INCOMPLETE);
  });

  test("is read byte by byte, each of them once, also in records of one byte", async () => {
    const hello = await run(helloOf("Some.Example"));
    // To parse again with each byte, or to copy, would take minutes for the larger one.
    const padding = new Uint8Array(20_000);
    for (const message of [hello.subarray(5), helloWith(hello.subarray(5), padding)]) {
      const records = Uint8Array.from([...message].flatMap((byte) => [22, 3, 1, 0, 1, byte]));
      const reader = new ClientHello();
      const names = Array.from(records, (_, at) => reader.add(records.subarray(at, at + 1)));
      expect(names.pop()).toBe("some.example");
      expect(names.every((name) => name === INCOMPLETE)).toBe(true);
      expect(Buffer.compare(reader.bytes, records)).toBe(0);
    }
  });

  test("without a name has none, and damaged ones never throw", async () => {
    expect(serverNameIn(await run(helloOf("127.0.0.1")))).toBeNull();
    const hello = await run(helloOf("localhost"));
    const random = new Random(1);
    for (let round = 0; round < 20_000; round++) {
      const damaged = hello.slice(0, 1 + random.below(hello.byteLength));
      for (let change = 0; change < 3; change++) damaged[random.below(damaged.byteLength)] = random.below(256);
      const name = serverNameIn(damaged);
      expect(name === null || name === INCOMPLETE || typeof name === "string").toBe(true);
    }
  });
});

test("a program whose sessions are closed ends by itself", async () => {
  await using script = Script.start(`
    import { run } from ${JSON.stringify(fileURLToPath(new URL("../../src/index.ts", import.meta.url)))};
    import { tlsToSelf } from ${JSON.stringify(fileURLToPath(new URL("../support/tls.ts", import.meta.url)))};
    await run(function* main() {
      for (let round = 0; round < 3; round++) {
        const { client, server } = yield* tlsToSelf();
        yield* client.write("x");
        yield* server.read(new Uint8Array(1));
        client.close();
        server.close();
      }
    });
    console.log("done");
  `);
  expect(await script.line()).toBe("done");
  expect((await script.end()).exitCode).toBe(0);
});

test("without ca those are trusted whom Bun trusts, and no variable turns the verification off", async () => {
  await using script = Script.start(
    `
    import { run } from ${JSON.stringify(fileURLToPath(new URL("../../src/index.ts", import.meta.url)))};
    import { tlsToSelf } from ${JSON.stringify(fileURLToPath(new URL("../support/tls.ts", import.meta.url)))};
    import { EXPIRED, SERVER } from ${JSON.stringify(fileURLToPath(new URL("../support/certificates.ts", import.meta.url)))};
    for (const server of [SERVER, EXPIRED]) {
      await run(function* main() {
        try {
          const pair = yield* tlsToSelf({ client: { ca: undefined }, server });
          pair.client.close();
          pair.server.close();
          console.log("trusted");
        } catch (error) {
          console.log((error.errors?.[0] ?? error).code);
        }
      });
    }
  `,
    { env: { NODE_EXTRA_CA_CERTS: AUTHORITY.file, NODE_TLS_REJECT_UNAUTHORIZED: "0" } },
  );
  expect(await script.line()).toBe("trusted");
  expect(await script.line()).toBe("CERT_HAS_EXPIRED");
});

/** How both sides of a session that does not come to stand end; one that does reads, and then ends as well. */
function* outcomes(options: TlsPairOptions): Operation<[client: Error, server: Error]> {
  const { client, server } = yield* connectToSelf();
  const results = yield* all([
    () => errorOf(useBriefly(clientOver(client, options.client))),
    () => errorOf(useBriefly(serverOver(server, options.server))),
  ]);
  expect([client.isClosed, server.isClosed]).toEqual([true, true]);
  return results;
}

function* useBriefly(begin: Operation<ByteStream>): Operation<void> {
  using stream = yield* begin;
  yield* stream.read(new Uint8Array(1));
}

function clientOver(stream: ByteStream, options: Partial<TlsConnectOptions> = {}): Operation<ByteStream> {
  return tlsConnect(stream, { serverName: "localhost", ca: AUTHORITY.cert, ...options });
}

function serverOver(stream: ByteStream, options: Partial<TlsAcceptOptions> = {}): Operation<ByteStream> {
  return tlsAccept(stream, { cert: SERVER.cert, key: SERVER.key, ...options });
}

function byName(name: string | null): { cert: string; key: string } | null {
  return name?.endsWith(".example") === true ? OTHER : null;
}

/** What a client sends first. */
function* helloOf(serverName: string): Operation<Uint8Array> {
  const { client, server } = yield* connectToSelf();
  const connecting = yield* spawn(() => clientOver(client, { serverName }), { supervised: true });
  const buffer = new Uint8Array(4_096);
  const hello = buffer.slice(0, yield* server.read(buffer));
  yield* cancel(connecting);
  server.close();
  return hello;
}

/** A stream of which each read brings one byte. */
function dribbling(stream: ByteStream): ByteStream {
  return instead(stream, "read", (buffer: Uint8Array) => stream.read(buffer.subarray(0, 1)));
}

/** A stream whose half cannot be ended. */
function withoutShutdown(stream: ByteStream): ByteStream {
  return instead(stream, "shutdown", function* shutdown(): Operation<void> {});
}

function instead<K extends keyof ByteStream>(stream: ByteStream, name: K, method: ByteStream[K]): ByteStream {
  return new Proxy(stream, {
    get(target, key) {
      if (key === name) return method;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function serverNameIn(bytes: Uint8Array): string | null | typeof INCOMPLETE {
  return new ClientHello().add(bytes);
}

/** The message of the handshake with one more extension, of a number that has no meaning. */
function helloWith(message: Uint8Array, content: Uint8Array): Uint8Array {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const session = message[38]!;
  const ciphers = view.getUint16(39 + session);
  const methods = message[41 + session + ciphers]!;
  const extensions = 42 + session + ciphers + methods;
  const extended = Buffer.concat([
    message,
    Uint8Array.of(0xfa, 0xfa, content.byteLength >> 8, content.byteLength),
    content,
  ]);
  extended.writeUIntBE(extended.byteLength - 4, 1, 3);
  extended.writeUInt16BE(extended.byteLength - extensions - 2, extensions);
  return extended;
}
