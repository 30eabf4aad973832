/** `tasks/socks5.ts` as the proxy of curl, with nginx and a server of our own behind it. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { AUTHORITY } from "../support/certificates.ts";
import { NO_IPV6, patternOf } from "../support/loopback.ts";
import { checksum } from "../tasks/peer.ts";
import { Program } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { curl } from "./support/curl.ts";
import { Nginx } from "./support/nginx.ts";
import { testUnless } from "../support/platform.ts";

const LARGE = patternOf(20_000_000);

describeReal("curl, through our SOCKS5 proxy", { programs: ["curl", "nginx"] }, () => {
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await Nginx.start({ files: { "hello.txt": "hello\n", "large.bin": LARGE } });
  });
  afterAll(() => nginx[Symbol.asyncDispose]());

  test.each(["--socks5-hostname", "--socks5"])(
    "gets a page with %s, over TLS as well, and a large one",
    async (way) => {
      await using proxy = Program.start("socks5.ts");
      const through = [way, `127.0.0.1:${await proxy.port()}`, "-4", "--cacert", AUTHORITY.file];
      const { plain, secure } = nginx.ports;
      const { stdout } = await curl(
        ...through,
        `http://localhost:${plain}/hello.txt`,
        `http://127.0.0.1:${plain}/hello.txt`,
        `https://localhost:${secure}/hello.txt`,
      );
      expect(stdout.toString()).toBe("hello\nhello\nhello\n");
      const large = await curl(...through, `https://localhost:${secure}/large.bin`);
      expect(checksum(large.stdout)).toBe(checksum(LARGE));
    },
  );

  testUnless(NO_IPV6)("gets a page of a server that has an IPv6 address only", async () => {
    await using server = Program.start("https.ts", "--host", "::1");
    const line = await server.line();
    const port = /:(\d+)$/.exec(line)![1];
    await using proxy = Program.start("socks5.ts");
    const through = ["--socks5-hostname", `127.0.0.1:${await proxy.port()}`];
    const { stdout } = await curl(...through, `http://[::1]:${port}/`);
    expect(stdout.toString()).toBe("hello\n");
  });

  test("posts a large body, many at once", async () => {
    await using server = Program.start("https.ts");
    const url = `http://localhost:${await server.port()}/echo`;
    await using proxy = Program.start("socks5.ts");
    const through = ["--socks5-hostname", `127.0.0.1:${await proxy.port()}`];
    const text = "x".repeat(100_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => curl(...through, "--data-binary", text, url)));
    for (const { stdout } of answers) expect(stdout.toString()).toBe(text);
  });

  test("logs in with a name and a password, and is refused with others", async () => {
    await using proxy = Program.start("socks5.ts", "--user", "ann:secret");
    const url = `http://localhost:${nginx.ports.plain}/hello.txt`;
    const through = ["--socks5-hostname", `127.0.0.1:${await proxy.port()}`];
    expect((await curl(...through, "--proxy-user", "ann:secret", url)).stdout.toString()).toBe("hello\n");
    expect((await curl(...through, "--proxy-user", "ann:wrong", url)).exitCode).toBe(PROXY_ERROR);
    expect((await curl(...through, url)).exitCode).toBe(PROXY_ERROR);
  });

  test("is told why there is no connection", async () => {
    await using proxy = Program.start("socks5.ts");
    const through = ["--socks5-hostname", `127.0.0.1:${await proxy.port()}`];
    for (const [url, reply] of [
      ["http://127.0.0.1:1/", "(5)"],
      ["http://nobody.invalid/", "(4)"],
    ] as const) {
      const { exitCode, stderr } = await curl(...through, url);
      expect(exitCode).toBe(PROXY_ERROR);
      expect(stderr).toContain(reply);
    }
  });
});

/** What curl says of a proxy that does not do what it is asked for (curl(1)). */
const PROXY_ERROR = 97;
