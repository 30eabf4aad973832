import { describe, expect, test } from "bun:test";
import { SocketOption, type System } from "../../src/core/system.ts";
import { UnixKind } from "../../src/core/unix-system.ts";
import {
  bindUdp,
  bindUnixDatagram,
  connectUnix,
  Executor,
  fdStream,
  type Feature,
  isSupported,
  isTerminal,
  listen,
  listenUnix,
  makeNamedPipe,
  openNamedPipe,
  openPipe,
  openPty,
  openSerial,
  openUnixDatagram,
  type Operation,
  type Platform,
  rawMode,
  runProcess,
  startProcess,
  unixDatagramPair,
  unixPair,
  UnixStream,
  UnsupportedError,
  watch,
  windowSize,
} from "../../src/index.ts";
import { errorNumber } from "../../src/native/error-numbers.ts";
import { has, THIS_PLATFORM } from "../../src/native/platform.ts";
import { pathOfTerminal } from "../../src/native/terminal-system.ts";
import { nativeSystem, systemFor } from "../../src/native/system.ts";
import { thrownBy } from "../support/failure.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { temporaryPath } from "../support/temporary.ts";

/** A world in which a socket has a number, and nothing else works: what gets that far has called the system. */
class World extends ScriptedWorld {
  constructor(platform: Platform) {
    const { unix, files, terminals, watching, processes, setOption, datagrams } = systemFor(platform);
    const create = (kind: UnixKind): number =>
      has("unixDatagrams", platform) || kind === UnixKind.STREAM ? 7 : unix.create(kind);
    super(
      {},
      {},
      {
        unix: { ...unix, create },
        files,
        terminals,
        watching,
        processes,
        setOption: orNothing(setOption),
        datagrams: { ...datagrams, create: () => 7 },
        close: () => 0,
      },
    );
  }
}

/** Only the option that is to be refused is set. */
function orNothing(setOption: System["setOption"]): System["setOption"] {
  return (descriptor, option, value) => (option === SocketOption.REUSE_PORT ? setOption(descriptor, option, value) : 0);
}

function refusal(platform: Platform, operation: () => Operation<unknown>): UnsupportedError {
  const error = thrownBy(() => new Executor(new World(platform)).blockOn(operation));
  expect(error).toBeInstanceOf(UnsupportedError);
  return error as UnsupportedError;
}

function* stream(): Operation<UnixStream> {
  const { system } = new World("win32");
  yield* [];
  return new UnixStream(system, 7, { path: "peer" });
}

/** What uses a feature, and what it says where that is not there. */
const USES: readonly (readonly [Feature, Platform, string, () => Operation<unknown>])[] = [
  ["fdStream", "win32", "streams on descriptors of others on Windows", () => fdStream(0)],
  ["pipes", "win32", "pipes, except those of child processes on Windows", openPipe],
  ["namedPipes", "win32", "named pipes on Windows", () => makeNamedPipe("a")],
  ["namedPipes", "win32", "named pipes on Windows", () => openNamedPipe("a", "read")],
  ["processesInBlockOn", "win32", "(use run) on Windows", () => startProcess(["a"])],
  ["processesInBlockOn", "darwin", "(use run) on macOS", () => runProcess(["a"])],
  ["processesInBlockOn", "freebsd", "(use run) on FreeBSD", () => startProcess(["a"])],
  ["terminals", "win32", "terminals on Windows", () => isTerminal(0)],
  ["terminals", "win32", "terminals on Windows", () => rawMode(0)],
  ["terminals", "win32", "terminals on Windows", () => windowSize(0)],
  ["terminals", "win32", "terminals on Windows", () => openPty()],
  ["serialPorts", "win32", "serial ports on Windows", () => openSerial("COM1", { baud: 9600 })],
  ["watching", "win32", "watchers of files on Windows", () => watch(".")],
  ["watching", "darwin", "watchers of files on macOS", () => watch(".")],
  ["unixPairs", "win32", "pairs of unix sockets on Windows", unixPair],
  ["unixDatagrams", "win32", "unix datagram sockets on Windows", unixDatagramPair],
  ["unixDatagrams", "win32", "unix datagram sockets on Windows", () => openUnixDatagram()],
  ["unixDatagrams", "win32", "unix datagram sockets on Windows", () => bindUnixDatagram({ path: "a" })],
  ["abstractNames", "win32", "abstract names of unix sockets", () => connectUnix({ abstract: "a" })],
  ["abstractNames", "darwin", "abstract names of unix sockets", () => listenUnix({ abstract: "a" })],
  ["abstractNames", "freebsd", "abstract names of unix sockets", () => openUnixDatagram({ autobind: true })],
  ["socketFileModes", "win32", "permissions for the files", () => listenUnix({ path: "a", mode: 0o600 })],
  [
    "descriptorPassing",
    "win32",
    "descriptors that unix sockets pass",
    function* () {
      yield* (yield* stream()).sendDescriptors("x", [0]);
    },
  ],
  [
    "descriptorPassing",
    "win32",
    "descriptors that unix sockets pass",
    function* () {
      yield* (yield* stream()).receiveDescriptors(new Uint8Array(1), { mostDescriptors: 1 });
    },
  ],
  [
    "peerCredentials",
    "win32",
    "credentials of the peers",
    function* () {
      (yield* stream()).peerCredentials();
    },
  ],
  ["reusePort", "win32", "reusePort", () => listen({ port: 0, host: "127.0.0.1", reusePort: true })],
  ["reusePort", "win32", "reusePort", () => bindUdp({ port: 0, host: "127.0.0.1", reusePort: true })],
  ["senderCredentials", "darwin", "credentials of the senders", () => openUnixDatagram({ passCredentials: true })],
];

describe("what a platform lacks", () => {
  expectNothingLeftBehind();

  test.each(USES.map(([feature, platform, words, use], index) => ({ index, feature, platform, words, use })))(
    "is refused by name, before anything of it is called: $feature on $platform ($index)",
    ({ feature, platform, words, use }) => {
      const error = refusal(platform, use);
      expect(error.message).toContain(`bun-reactor has no `);
      expect(error.message).toContain(words);
      expect(error).toMatchObject({ feature, platform });
    },
  );

  test("is refused by every call of a family, whatever its name", () => {
    const { terminals, watching } = systemFor("win32");
    expect(thrownBy(() => terminals.setBreak(0, true))).toMatchObject({ feature: "terminals" });
    expect(thrownBy(() => watching.list("."))).toMatchObject({ feature: "watching" });
  });

  test("leaves what can be done with a file by its name", () => {
    using path = temporaryPath("file");
    const { files } = systemFor("win32");
    expect(files.kindOfFile(path.name)).toBeNull();
    expect(files.unlink(path.name)).toBe(nativeSystem().files.unlink(path.name));
  });

  test("asks a unix socket by a stream where there are no datagrams", () => {
    const kinds = (["linux", "darwin", "freebsd", "win32"] as const).map((name) => systemFor(name).unix.probeKind);
    expect(kinds).toEqual([1, 1, 1, 0]);
  });

  test("does not change where a terminal is found", () => {
    expect([pathOfTerminal(3, "darwin"), pathOfTerminal(12, "freebsd")]).toEqual(["/dev/ttys003", "/dev/pts/12"]);
  });

  test("says of a short read that it may not be the last where the event queue does not tell changes", () => {
    const last = (["linux", "darwin", "freebsd", "win32"] as const).map((name) => systemFor(name).shortReadIsLast);
    expect(last).toEqual([true, true, true, false]);
  });
});

describe("isSupported", () => {
  test("says what this platform has", () => {
    for (const [feature] of USES) expect(isSupported(feature)).toBe(has(feature, THIS_PLATFORM));
  });

  test("knows that Linux has everything", () => {
    for (const [feature] of USES) expect(has(feature, "linux")).toBe(true);
  });

  test("refuses what is no feature", () => {
    expect(() => isSupported("teleport" as Feature)).toThrow(
      new TypeError('isSupported: there is no feature "teleport"'),
    );
    expect(() => isSupported("toString" as Feature)).toThrow(TypeError);
  });
});

describe("error numbers", () => {
  test("are those of this platform's Node.js", () => {
    const known = new Map(
      [...process.getBuiltinModule("node:util").getSystemErrorMap()].map(([number, [code]]) => [code, number]),
    );
    for (const name of ["EAGAIN", "EINTR", "ENOSPC", "ENOENT", "EIO", "EPIPE", "ETIMEDOUT", "ESRCH", "ENODEV"] as const)
      expect([name, errorNumber(name)]).toEqual([name, known.get(name)!]);
  });

  test("on Windows are those of libuv", () => {
    expect(errorNumber("EAGAIN", "win32")).toBe(-4088);
    expect(errorNumber("ENOENT", "win32")).toBe(-4058);
  });
});
