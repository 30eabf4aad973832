/** OpenSSL's own client with our TLS server, and its server with our client. */

import { beforeAll, expect, test } from "bun:test";
import {
  type ByteStream,
  connect,
  each,
  join,
  listen,
  type Operation,
  promise,
  run,
  spawn,
  SystemError,
  timeout,
  tlsAccept,
  type TlsAcceptOptions,
  tlsConnect,
  type TlsConnectOptions,
  TlsError,
  type TlsStream,
  UnexpectedEndError,
} from "../../src/index.ts";
import { AUTHORITY, CLIENT, EXPIRED, OTHER, SERVER, STRANGER } from "../support/certificates.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor } from "../support/loopback.ts";
import { describeReal } from "./support/component.ts";
import { freePort, RealServer, runCommand } from "./support/server.ts";

describeReal("openssl s_client, with our server", { programs: ["openssl"] }, () => {
  beforeAll(openAll);
  expectNothingLeftBehind();

  test.each([
    ["-tls1_3", "TLSv1.3"],
    ["-tls1_2", "TLSv1.2"],
  ])("talks in lines with %s, and ends in order", (version, protocol) =>
    withServer({ alpnProtocols: ["lines"] }, function* main(port, sessions) {
      yield* withClient(port, [version, "-alpn", "lines"], function* talk(client) {
        for (const word of ["hello", "zażółć"]) {
          client.send(`${word}\n`);
          yield* promise(client.line(`${word}!`));
        }
        client.send("Q\n");
        const { exitCode, stdout, stderr } = yield* promise(client.end());
        expect(exitCode).toBe(0);
        expect(stdout).toContain(`New, ${protocol}`);
        expect(stdout + stderr).toContain("ALPN protocol: lines");
        expect(stdout + stderr).toContain("Verification: OK");
      });
      const [session] = sessions;
      expect([session!.protocol, session!.alpnProtocol, session!.serverName]).toEqual([protocol, "lines", "localhost"]);
    }),
  );

  test("changes its keys in the middle, and asks for ours", () =>
    withServer({}, (port) =>
      withClient(port, ["-tls1_3"], function* talk(client) {
        for (const command of ["k", "K", "K"]) {
          client.send("before\n");
          yield* promise(client.line("before!"));
          client.send(`${command}\n`);
          yield* promise(client.complaintWith("KEYUPDATE"));
        }
        client.send("after\n");
        yield* promise(client.line("after!"));
      }),
    ));

  test("sees the certificate for the name that it asks for", () =>
    withServer({ selectCertificate: (name) => (name === "other.example" ? OTHER : null) }, function* main(port) {
      for (const [name, subject] of [
        ["localhost", "CN = server"],
        ["other.example", "CN = other"],
      ] as const) {
        yield* withClient(port, ["-servername", name, "-verify_hostname", name], function* look(client) {
          client.send("Q\n");
          const { exitCode, stdout } = yield* promise(client.end());
          expect(exitCode).toBe(0);
          expect(stdout).toContain(`subject=${subject}`);
        });
      }
    }));

  test.each([
    ["has expired", EXPIRED, "certificate has expired"],
    ["is for another host", OTHER, "hostname mismatch"],
    ["is signed by itself", STRANGER, "self-signed certificate"],
  ] as const)("refuses our certificate if it %s, and we hear of it", (_why, certificate, words) =>
    run(function* main() {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 });
      const accepting = yield* spawn(function* accept() {
        return yield* errorOf(tlsAccept(yield* listener.accept(), certificate));
      });
      yield* withClient(listener.address.port, ["-verify_hostname", "localhost"], function* look(client) {
        const { exitCode, stderr } = yield* promise(client.end());
        expect(exitCode).not.toBe(0);
        expect(stderr).toContain(words);
      });
      const error = yield* join(accepting);
      expect(error).toBeInstanceOf(TlsError);
      expect(error.message).toContain("the other side refused:");
    }),
  );

  test("must show a certificate if it is asked for one", () =>
    run(function* main() {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 });
      const options = { ...SERVER, requestCert: true, ca: AUTHORITY.cert };
      for (const [args, outcome] of [
        [["-cert", CLIENT.certFile, "-key", CLIENT.keyFile], "client"],
        [["-cert", STRANGER.certFile, "-key", STRANGER.keyFile], "DEPTH_ZERO_SELF_SIGNED_CERT"],
        [[], "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"],
      ] as const) {
        const accepting = yield* spawn(function* accept() {
          try {
            using stream = yield* tlsAccept(yield* listener.accept(), options);
            return stream.peerCertificate!.subject.CN;
          } catch (error) {
            if (error instanceof TlsError) return error.code;
            throw error;
          }
        });
        yield* withClient(listener.address.port, args, function* wait() {
          expect(yield* join(accepting)).toBe(outcome);
        });
      }
    }));

  test("that is killed in the middle has not ended in order", () =>
    withServer({}, function* main(port, sessions) {
      yield* withClient(port, [], function* talk(client) {
        client.send("hello\n");
        yield* promise(client.line("hello!"));
      });
      // The echo has ended by then, and says how.
      yield* promise(sessions.ended);
      const isCutOff = [UnexpectedEndError, SystemError].some((kind) => sessions.failure instanceof kind);
      expect([isCutOff, sessions.failure]).toEqual([true, sessions.failure]);
    }));
});

describeReal("openssl s_server, with our client", { programs: ["openssl"] }, () => {
  beforeAll(openAll);
  expectNothingLeftBehind();

  test.each([
    ["-tls1_3", "TLSv1.3"],
    ["-tls1_2", "TLSv1.2"],
  ])("turns our lines around with %s", (version, protocol) =>
    withRealServer(["-rev", version, "-alpn", "turned"], function* main(port) {
      using stream = yield* secureConnect(port, { alpnProtocols: ["other", "turned"] });
      expect([stream.protocol, stream.alpnProtocol]).toEqual([protocol, "turned"]);
      const lines = stream.lines();
      for (let round = 0; round < 200; round++) {
        yield* stream.write(`line ${round} abcdefghijklmnopqrstuvwxyz\n`);
        const turned = [...`line ${round} abcdefghijklmnopqrstuvwxyz`].reverse().join("");
        expect((yield* lines.next()).value).toBe(turned);
      }
      yield* stream.shutdown();
    }),
  );

  test("is refused if its certificate has expired, is for another host, or of nobody that is trusted", async () => {
    for (const [certificate, code] of [
      [EXPIRED, "CERT_HAS_EXPIRED"],
      [OTHER, "ERR_TLS_CERT_ALTNAME_INVALID"],
      [STRANGER, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ] as const) {
      await withRealServer(
        ["-rev"],
        function* main(port) {
          const error = yield* errorOf(secureConnect(port));
          expect(error).toBeInstanceOf(TlsError);
          expect(error.code).toBe(code);
        },
        certificate,
      );
    }
  });

  test("asks for our certificate", () =>
    withRealServer(["-rev", "-Verify", "1", "-verify_return_error", "-CAfile", AUTHORITY.file], function* main(port) {
      const stream = yield* secureConnect(port, { cert: CLIENT.cert, key: CLIENT.key });
      yield* stream.write("abc\n");
      expect((yield* stream.lines().next()).value).toBe("cba");
      // It serves one client after the other.
      stream.close();
      using without = yield* secureConnect(port);
      const error = yield* errorOf(without.read(new Uint8Array(1)));
      expect(error).toBeInstanceOf(TlsError);
      expect(error.message).toContain("the other side refused: certificate required");
    }));

  test("that is killed in the middle cuts its stream off", () =>
    withRealServer(["-rev"], function* main(port, server) {
      using stream = yield* secureConnect(port);
      yield* stream.write("abc\n");
      expect((yield* stream.lines().next()).value).toBe("cba");
      server.kill();
      const error = yield* errorOf(stream.read(new Uint8Array(1)));
      expect([UnexpectedEndError, SystemError].some((kind) => error instanceof kind)).toBe(true);
    }));
});

/** What stays open from its first use on: the reactor, and what Bun needs for children. */
async function openAll(): Promise<void> {
  await openReactor();
  await runCommand(["openssl", "version"]);
}

/** The sessions that were made, and how the last one ended. */
class Sessions extends Array<TlsStream> {
  failure: unknown = null;
  private readonly done = Promise.withResolvers<void>();

  get ended(): Promise<void> {
    return this.done.promise;
  }

  end(failure: unknown): void {
    this.failure = failure;
    this.done.resolve();
  }
}

/** A server that answers each line with itself and an exclamation mark. */
function withServer(
  options: TlsAcceptOptions,
  body: (port: number, sessions: Sessions) => Operation<void>,
): Promise<void> {
  return run(function* main() {
    using listener = yield* listen({ host: "127.0.0.1", port: 0 });
    const sessions = new Sessions();
    const serving = yield* spawn(
      function* serve() {
        for (;;) yield* spawn(exclaim(yield* listener.accept(), options, sessions));
      },
      { daemon: true },
    );
    yield* timeout(25_000, () => body(listener.address.port, sessions));
    serving.cancel();
  });
}

function* exclaim(below: ByteStream, options: TlsAcceptOptions, sessions: Sessions): Operation<void> {
  try {
    using stream = yield* tlsAccept(below, { cert: SERVER.cert, key: SERVER.key, ...options });
    sessions.push(stream);
    for (const line of yield* each(stream.lines())) {
      yield* stream.write(`${line}!\n`);
      yield* each.next();
    }
    yield* stream.shutdown();
    sessions.end(null);
  } catch (error) {
    sessions.end(error);
  }
}

/** openssl s_client as a child whose standard input is a pipe. */
class Client implements AsyncDisposable {
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  private readonly stdout: Output;
  private readonly stderr: Output;

  constructor(port: number, args: readonly string[]) {
    const verify = ["-CAfile", AUTHORITY.file, "-verify_return_error"];
    const name = args.includes("-servername") ? [] : ["-servername", "localhost"];
    this.child = Bun.spawn(["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...verify, ...name, ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      timeout: SAFETY_LIMIT_MS,
      killSignal: "SIGKILL",
    });
    this.stdout = new Output(this.child.stdout);
    this.stderr = new Output(this.child.stderr);
  }

  /** A letter alone on a line is a command: `Q` to leave, `K` to change keys. */
  send(text: string): void {
    this.child.stdin.write(text);
    void this.child.stdin.flush();
  }

  /** Waits until it has printed this line; it prints a lot about its session besides. */
  line(expected: string): Promise<void> {
    return this.stdout.lineWith((line) => line === expected);
  }

  complaintWith(word: string): Promise<void> {
    return this.stderr.lineWith((line) => line.includes(word));
  }

  async end(): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }> {
    const [stdout, stderr, exitCode] = await Promise.all([this.stdout.all(), this.stderr.all(), this.child.exited]);
    return { exitCode, stdout, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    await Promise.all([this.stdout.all(), this.stderr.all()]);
  }
}

/** The output of a child, with all that was read of it. */
class Output {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private text = "";
  private seen = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.chunks = stream[Symbol.asyncIterator]();
  }

  async lineWith(matches: (line: string) => boolean): Promise<void> {
    for (;;) {
      const end = this.text.indexOf("\n", this.seen);
      if (end !== -1) {
        const line = this.text.slice(this.seen, end);
        this.seen = end + 1;
        if (matches(line)) return;
      } else if (!(await this.fetch())) throw new Error(`the program ended before such a line:\n${this.text}`);
    }
  }

  async all(): Promise<string> {
    while (await this.fetch());
    return this.text;
  }

  private async fetch(): Promise<boolean> {
    const chunk = await this.chunks.next();
    if (chunk.done !== true) this.text += this.decoder.decode(chunk.value, { stream: true });
    return chunk.done !== true;
  }
}

function* withClient(
  port: number,
  args: readonly string[],
  body: (client: Client) => Operation<void>,
): Operation<void> {
  const client = new Client(port, args);
  try {
    yield* body(client);
  } finally {
    yield* promise(client[Symbol.asyncDispose]());
  }
}

async function withRealServer(
  args: readonly string[],
  body: (port: number, server: RealServer) => Operation<void>,
  { certFile, keyFile } = SERVER,
): Promise<void> {
  const port = freePort();
  const command = ["openssl", "s_server", "-accept", `127.0.0.1:${port}`, "-cert", certFile, "-key", keyFile, ...args];
  await using server = await RealServer.start(command, { isReady: (line) => line === "ACCEPT" });
  await run(() => timeout(25_000, () => body(port, server)));
}

function* secureConnect(port: number, options: Partial<TlsConnectOptions> = {}): Operation<TlsStream> {
  const below = yield* connect({ host: "127.0.0.1", port });
  below.noDelay();
  return yield* tlsConnect(below, { serverName: "localhost", ca: AUTHORITY.cert, ...options });
}

/** Far more than any of the programs takes: it only keeps one that hangs from hanging the tests. */
const SAFETY_LIMIT_MS = 25_000;
