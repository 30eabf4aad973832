/** curl, as it is used in tests: with no configuration and no progress shown, but errors. */

export interface CurlEnd {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export async function curl(...args: readonly string[]): Promise<CurlEnd> {
  const child = Bun.spawn(["curl", "-q", "-sS", "--noproxy", "", "--max-time", "25", ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  return { exitCode, stdout: Buffer.from(stdout), stderr };
}
