/** HTTP/1.1 over our TCP and TLS streams: our client with nginx, and curl with our server. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  connect,
  type Operation,
  run,
  timeout,
  tlsConnect,
  type TlsConnectOptions,
  TlsError,
  type TlsStream,
} from "../../src/index.ts";
import { HttpClient, type HttpResponse } from "../../tasks/http/client.ts";
import { AUTHORITY, CLIENT, EXPIRED, OTHER, SERVER, STRANGER } from "../support/certificates.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { temporaryPath } from "../support/temporary.ts";
import { checksum } from "../tasks/peer.ts";
import { Program } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { curl } from "./support/curl.ts";
import { Nginx } from "./support/nginx.ts";

const LARGE = patternOf(20_000_000);
const FILES = { "hello.txt": "hello\n", "empty.txt": "", "large.bin": LARGE };

describeReal("nginx, with our client", { programs: ["nginx"] }, () => {
  let behind: Program;
  let nginx: Nginx;
  beforeAll(async () => {
    await openReactor();
    behind = Program.start("https.ts");
    nginx = await Nginx.start({ files: FILES, behindPort: await behind.port() });
  });
  afterAll(async () => {
    await nginx[Symbol.asyncDispose]();
    await behind[Symbol.asyncDispose]();
  });
  expectNothingLeftBehind();

  test.each(["plain", "TLS"])("answers a hundred requests on one %s connection", (way) =>
    withClient(way, function* main(http) {
      for (let round = 0; round < 100; round++) {
        const response = yield* http.request({ target: round % 3 === 0 ? "/empty.txt" : "/hello.txt" });
        expect(response.status).toBe(200);
        expect(yield* response.body.text()).toBe(round % 3 === 0 ? "" : "hello\n");
      }
      const head = yield* http.request({ method: "HEAD", target: "/large.bin" });
      expect(head.fields.get("content-length")).toBe(String(LARGE.byteLength));
      expect((yield* http.request({ target: "/nothing" })).status).toBe(404);
    }),
  );

  test.each(["plain", "TLS"])(
    "sends a large body over %s, no faster than it is read, with a length and in chunks",
    (way) =>
      withClient(way, function* main(http) {
        for (const target of ["/large.bin", "/chunked/large.bin"]) {
          const response = yield* http.request({ target });
          expect(response.fields.has("content-length")).toBe(target === "/large.bin");
          expect(response.fields.get("transfer-encoding")).toBe(target === "/large.bin" ? undefined : "chunked");
          expect(yield* checksumOf(response)).toBe(checksum(LARGE));
        }
      }),
  );

  test.each(["plain", "TLS"])("takes a large body over %s, whole and in pieces, and passes the echo on", (way) =>
    withClient(way, function* main(http) {
      const sent = LARGE.subarray(0, 8_000_000);
      const whole = yield* http.request({ method: "POST", target: "/behind/echo", body: sent });
      expect(yield* checksumOf(whole)).toBe(checksum(sent));
      const pieces = yield* http.request({
        method: "POST",
        target: "/behind/echo",
        *body(write) {
          for (let at = 0; at < sent.byteLength; at += 77_777) yield* write(sent.subarray(at, at + 77_777));
        },
      });
      expect(yield* checksumOf(pieces)).toBe(checksum(sent));
    }),
  );

  test.each(["plain", "TLS"])("says over %s that an answer is its last, and ends in order", (way) =>
    withClient(way, function* main(http, stream) {
      const response = yield* http.request({ target: "/last/hello.txt" });
      expect(yield* response.body.text()).toBe("hello\n");
      expect(http.isReusable).toBe(false);
      expect(yield* stream.read(new Uint8Array(1))).toBe(0);
    }),
  );

  test("shows the certificate for the name that it is asked for", () =>
    run(function* main() {
      for (const [serverName, commonName] of [
        ["localhost", "server"],
        ["127.0.0.1", "server"],
        ["other.example", "other"],
      ] as const) {
        using stream = yield* secureConnect(nginx.ports.secure, { serverName, alpnProtocols: ["http/1.1"] });
        expect(stream.peerCertificate!.subject.CN).toBe(commonName);
        expect([stream.protocol, stream.alpnProtocol]).toEqual(["TLSv1.3", "http/1.1"]);
      }
      using older = yield* secureConnect(nginx.ports.secure, { maxVersion: "TLSv1.2" });
      expect(older.protocol).toBe("TLSv1.2");
      const response = yield* new HttpClient(older, "localhost").request({ target: "/large.bin" });
      expect(yield* checksumOf(response)).toBe(checksum(LARGE));
    }));

  test("is refused if its certificate has expired, is for another host, or of nobody that is trusted", () =>
    run(function* main() {
      const { secure, expired } = nginx.ports;
      for (const [port, options, code] of [
        [expired, {}, "CERT_HAS_EXPIRED"],
        [secure, { serverName: "elsewhere.example" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
        [secure, { ca: undefined }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
        [secure, { ca: STRANGER.cert }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
      ] as const) {
        const error = yield* errorOf(secureConnect(port, options));
        expect(error).toBeInstanceOf(TlsError);
        expect(error.code).toBe(code);
      }
    }));

  test("asks for a client's certificate, and gets it", () =>
    run(function* main() {
      using stream = yield* secureConnect(nginx.ports.mutual, { cert: CLIENT.cert, key: CLIENT.key });
      const response = yield* new HttpClient(stream, "localhost").request({ target: "/hello.txt" });
      expect(response.status).toBe(200);
      using without = yield* secureConnect(nginx.ports.mutual);
      expect((yield* new HttpClient(without, "localhost").request({ target: "/hello.txt" })).status).toBe(400);
    }));

  test("a port without TLS is told apart, in both directions", () =>
    run(function* main() {
      expect((yield* errorOf(secureConnect(nginx.ports.plain))).message).toContain("does not speak TLS");
      using stream = yield* connect({ host: "127.0.0.1", port: nginx.ports.secure });
      const response = yield* new HttpClient(stream, "localhost").request({ target: "/" });
      expect(response.status).toBe(400);
      expect(yield* response.body.text()).toContain("plain HTTP request was sent to HTTPS port");
    }));

  function withClient(
    way: string,
    body: (http: HttpClient, stream: Pick<TlsStream, "read">) => Operation<void>,
  ): Promise<void> {
    const isSecure = way === "TLS";
    return run(function* main() {
      using stream = isSecure
        ? yield* secureConnect(nginx.ports.secure)
        : yield* connect({ host: "127.0.0.1", port: nginx.ports.plain });
      yield* timeout(25_000, () => body(new HttpClient(stream, "localhost"), stream));
    });
  }
});

describeReal("curl, with our server", { programs: ["curl"] }, () => {
  test.each(["http", "https"])("gets answers over %s, many on one connection, and a large one", async (scheme) => {
    await using server = await OwnServer.start(scheme);
    const { stdout, stderr } = await curl("-v", ...server.urls("/", "/", "/nothing", "/"));
    expect(stdout.toString()).toBe("hello\nhello\nthere is no /nothing\nhello\n");
    expect(stderr.match(/Re-using existing connection/g)).toHaveLength(3);
    expect(stderr).toContain(scheme === "https" ? "SSL certificate verify ok" : "HTTP/1.1 200 OK");
    const large = await curl(...server.urls("/bytes/20000000"));
    expect(large.stdout.byteLength).toBe(20_000_000);
    expect(large.stdout.subarray(65_536, 65_792)).toEqual(
      Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
    );
  });

  test.each(["http", "https"])(
    "posts over %s, with a length, in chunks, and to where nobody wants it",
    async (scheme) => {
      await using server = await OwnServer.start(scheme);
      using path = temporaryPath("body");
      const sent = LARGE.subarray(0, 5_000_000);
      await Bun.write(path.name, sent);
      for (const fields of [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]) {
        const { stdout } = await curl(...fields, "--data-binary", `@${path.name}`, ...server.urls("/echo"));
        expect(checksum(stdout)).toBe(checksum(sent));
      }
      const { stdout } = await curl("-w", "%{http_code}", "--data-binary", `@${path.name}`, ...server.urls("/"));
      expect(stdout.toString()).toBe("POST is not for /\n405");
    },
  );

  test("a client of HTTP/1.0 gets all of it, over TLS as well", async () => {
    for (const scheme of ["http", "https"]) {
      await using server = await OwnServer.start(scheme);
      expect((await curl("-0", ...server.urls("/bytes/3000000"))).stdout.byteLength).toBe(3_000_000);
    }
  });

  test("refuses our certificate if it has expired, is for another host, or of nobody that it trusts", async () => {
    for (const [files, options] of [
      [EXPIRED, ["--cacert", AUTHORITY.file]],
      [OTHER, ["--cacert", AUTHORITY.file]],
      [STRANGER, ["--cacert", AUTHORITY.file]],
      [SERVER, []],
    ] as const) {
      await using program = Program.start("https.ts", "--cert", files.certFile, "--key", files.keyFile);
      const url = `https://localhost:${await program.port()}/`;
      const { exitCode, stdout } = await curl(...options, "--resolve", `localhost:${new URL(url).port}:127.0.0.1`, url);
      expect([exitCode, stdout.toString()]).toEqual([REFUSED_CERTIFICATE, ""]);
      // The server says why a session did not come to be, and goes on.
      if (files !== OTHER) expect(await program.complaint()).toMatch(/the other side refused: .*(?:certificate|ca)/);
      const insecure = await curl("--insecure", url);
      expect(insecure.stdout.toString()).toBe("hello\n");
    }
  });
});

/** `tasks/https.ts`, for curl. */
class OwnServer implements AsyncDisposable {
  private constructor(
    private readonly program: Program,
    private readonly scheme: string,
    private readonly port: number,
  ) {}

  static async start(scheme: string): Promise<OwnServer> {
    const secure = scheme === "https" ? ["--cert", SERVER.certFile, "--key", SERVER.keyFile] : [];
    const program = Program.start("https.ts", ...secure);
    return new OwnServer(program, scheme, await program.port());
  }

  urls(...paths: string[]): string[] {
    const urls = paths.map((path) => `${this.scheme}://localhost:${this.port}${path}`);
    return ["--cacert", AUTHORITY.file, "--resolve", `localhost:${this.port}:127.0.0.1`, ...urls];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}

function* secureConnect(port: number, options: Partial<TlsConnectOptions> = {}): Operation<TlsStream> {
  const below = yield* connect({ host: "127.0.0.1", port });
  below.noDelay();
  return yield* timeout(10_000, tlsConnect(below, { serverName: "localhost", ca: AUTHORITY.cert, ...options }));
}

function* checksumOf({ body }: HttpResponse): Operation<string> {
  const hash = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(10_007);
  for (;;) {
    const bytes = yield* body.read(buffer);
    if (bytes === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytes));
  }
}

/** What curl says of a peer's certificate that it does not accept (curl(1)). */
const REFUSED_CERTIFICATE = 60;
