/** What talks to daemons over datagram sockets: systemd-notify, which passes a descriptor as well, and logger. */

import { beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bindUnixDatagram,
  listenUnix,
  type Operation,
  openPipe,
  promise,
  run,
  showUnixName,
  type UnixDatagram,
} from "../../src/index.ts";
import { notify, notifySocket, receiveNotification } from "../../tasks/sd-notify/protocol.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";
import { errorOf, openReactor } from "../support/loopback.ts";
import { firstOf, needs, NEEDS_POSIX_PROGRAMS } from "../support/needs.ts";
import { describeUnless } from "../support/platform.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { abstractName, NAMES, pathName } from "../support/unix.ts";
import { withVariable } from "../support/variable.ts";
import { Program, runToEnd } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { runCommand } from "./support/server.ts";

describeReal("systemd-notify", { programs: ["systemd-notify"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test.each(NAMES)("tells at %s that it is ready, and waits until its descriptor was closed", (_kind, makeName) =>
    run(function* main() {
      using name = makeName();
      using socket = yield* bindNotify(name);
      const child = Bun.spawn(["systemd-notify", "--ready", "--status=serving żółwie"], {
        env: { ...process.env, NOTIFY_SOCKET: showUnixName(name) },
        stdio: ["ignore", "ignore", "inherit"],
      });
      using first = yield* receiveNotification(socket);
      expect([...first.variables].sort()).toEqual([
        ["READY", "1"],
        ["STATUS", "serving żółwie"],
      ]);
      expect(first.takeDescriptors()).toEqual([]);
      {
        // The reading end of its pipe is closed when we have closed the writing end that it passes (sd_notify_barrier(3)).
        using barrier = yield* receiveNotification(socket);
        expect([...barrier.variables]).toEqual([["BARRIER", "1"]]);
        expect(child.exitCode).toBeNull();
      }
      expect(yield* promise(child.exited)).toBe(0);
    }),
  );

  test("with --no-block passes none, and sends variables as they are", () =>
    run(function* main() {
      using name = pathName();
      using socket = yield* bindNotify(name);
      const child = Bun.spawn(["systemd-notify", "--no-block", "STOPPING=1", "X_OWN=a=b"], {
        env: { ...process.env, NOTIFY_SOCKET: name.path! },
        stdio: ["ignore", "ignore", "inherit"],
      });
      using message = yield* receiveNotification(socket);
      expect([...message.variables]).toEqual([
        ["STOPPING", "1"],
        ["X_OWN", "a=b"],
      ]);
      expect(yield* promise(child.exited)).toBe(0);
    }));

  test("fifty at once are all heard, and each ends by itself", () =>
    run(function* main() {
      using name = pathName();
      using socket = yield* bindNotify(name);
      const children = Array.from({ length: 50 }, (_, index) =>
        Bun.spawn(["systemd-notify", `X_INDEX=${index}`], {
          env: { ...process.env, NOTIFY_SOCKET: name.path! },
          stdio: ["ignore", "ignore", "inherit"],
        }),
      );
      const heard = new Set<string>();
      for (let count = 0; count < 100; count++) {
        using message = yield* receiveNotification(socket);
        heard.add(message.variables.get("X_INDEX") ?? "a barrier");
      }
      for (const child of children) expect(yield* promise(child.exited)).toBe(0);
      expect(heard.size).toBe(51);
    }));

  test("and our own client speak to tasks/sd-notify.ts, which keeps a descriptor for the next start", async () => {
    using folder = temporaryFolder();
    const data = joinPath(folder.name, "data");
    const service = joinPath(folder.name, "service.sh");
    const program = joinPath(import.meta.dir, "../../tasks/sd-notify.ts");
    writeFileSync(data, "kept from one start to the next\n");
    writeFileSync(
      service,
      `if [ "$LISTEN_PID" = "$$" ] && [ -n "$LISTEN_FDS" ]; then
         echo "was given $LISTEN_FDS: $LISTEN_FDNAMES"
         cat <&4
       else
         exec 5<${data}
         ${process.execPath} ${program} --send READY=1 --status serving --store 5 --name one
         ${process.execPath} ${program} --send READY=2 --store 5 --name two
         systemd-notify --status="of systemd-notify"
         exit 3
       fi`,
    );
    const { exitCode, stdout, stderr } = await runToEnd("sd-notify.ts", "--run", `sh ${service}`, "--restarts", "1");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout
      .trimEnd()
      .replaceAll(/process \d+/g, "process N")
      .split("\n");
    // What the command prints comes by its own way, before or after what the manager prints.
    const isOfManager = (line: string): boolean => /^(started process|process) N/.test(line);
    expect(lines.filter((line) => !isOfManager(line))).toEqual([
      "was given 2: one:two",
      "kept from one start to the next",
    ]);
    expect(lines.filter(isOfManager)).toEqual([
      "started process N",
      "process N: stored 1 as one",
      "process N: READY=1",
      "process N: STATUS=serving",
      "process N: stored 1 as two",
      "process N: READY=2",
      "process N: STATUS=of systemd-notify",
      "process N ended with 3",
      "started process N",
      "process N ended with 0",
    ]);
  });
});

describeUnless(needs("unixDatagrams", "descriptorPassing"))("our client of sd_notify", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("passes descriptors, and closes what nobody takes", () =>
    run(function* main() {
      using name = abstractName();
      using socket = yield* bindNotify(name);
      using pipe = yield* openPipe();
      using counter = new EventCounter();
      using _environment = withVariable("NOTIFY_SOCKET", showUnixName(name));
      const descriptors = [pipe.writer.descriptor, counter.descriptor];
      expect(yield* notify({ FDSTORE: "1", FDNAME: "a", STATUS: "two\nlines" }, descriptors)).toBe(true);
      pipe.writer.close();
      {
        using message = yield* receiveNotification(socket);
        expect(Object.fromEntries(message.variables)).toEqual({ FDSTORE: "1", FDNAME: "a", STATUS: "two lines" });
        expect(message.processId).toBe(process.pid);
      }
      expect(yield* pipe.reader.read(new Uint8Array(1))).toBe(0);
    }));

  test("says nothing to nobody, and reads the place from the environment", () =>
    run(function* main() {
      using _environment = withVariable("NOTIFY_SOCKET", undefined);
      expect(yield* notify({ READY: "1" })).toBe(false);
      expect(notifySocket({ NOTIFY_SOCKET: "" })).toBeNull();
      expect(notifySocket({ NOTIFY_SOCKET: "@abstract/name" })).toEqual({ abstract: "abstract/name" });
      expect(notifySocket({ NOTIFY_SOCKET: "/run/notify" })).toEqual({ path: "/run/notify" });
    }));

  test("passes over what is too long to be a message", () =>
    run(function* main() {
      using name = abstractName();
      using socket = yield* bindNotify(name);
      using _environment = withVariable("NOTIFY_SOCKET", showUnixName(name));
      using counter = new EventCounter();
      yield* notify({ STATUS: "x".repeat(10_000) }, [counter.descriptor]);
      yield* notify({ STATUS: "short" });
      using message = yield* receiveNotification(socket);
      expect([...message.variables]).toEqual([["STATUS", "short"]]);
    }));

  test("is told when the manager has gone", () =>
    run(function* main() {
      using _environment = withVariable("NOTIFY_SOCKET", "/nobody/here");
      expect(yield* errorOf(notify({ READY: "1" }))).toMatchObject({ code: "ENOENT", path: "/nobody/here" });
    }));
});

describeUnless(firstOf(needs("unixDatagrams"), NEEDS_POSIX_PROGRAMS))("tasks/sd-notify.ts", () => {
  test("ends with its command at Ctrl-C, and leaves nothing running", async () => {
    await using program = Program.start("sd-notify.ts", "--run", "sh -c 'echo running; exec sleep 600'");
    const lines = [await program.line(), await program.line()].sort();
    expect(lines[0]).toBe("running");
    const processId = Number(/^started process (\d+)$/.exec(lines[1]!)![1]);
    program.signal("SIGINT");
    expect((await program.end()).exitCode).toBe(130);
    expect(() => process.kill(processId, 0)).toThrow("ESRCH");
  });

  test("ends a command by force that does not want to end, with all that it has started", async () => {
    const script = "trap '' TERM; sleep 600 & echo started; wait";
    await using program = Program.start("sd-notify.ts", "--run", `sh -c "${script}"`);
    await program.line();
    await program.line();
    program.signal("SIGINT");
    // Its output ends when the last has ended that has it: the sleep.
    expect(await program.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test("what a command leaves running is ended with it", async () => {
    const { exitCode, stdout } = await runToEnd("sd-notify.ts", "--run", "sh -c 'sleep 600 & exit 3'");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/ended with 3\n$/);
  });

  test("a value may have equals signs", async () => {
    const teller = fileURLToPath(new URL("../../tasks/sd-notify.ts", import.meta.url));
    const command = `'${process.execPath}' '${teller}' --send STATUS=a=b=c`;
    const { stdout } = await runToEnd("sd-notify.ts", "--run", command);
    expect(stdout).toContain(": STATUS=a=b=c\n");
  });

  test("says so if nobody wants to know", async () => {
    using _environment = withVariable("NOTIFY_SOCKET", undefined);
    const { exitCode, stderr } = await runToEnd("sd-notify.ts", "--send", "READY=1");
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: "nobody wants to know: NOTIFY_SOCKET is not set\n",
    });
  });

  test.each([
    [[], "--run or --send is missing"],
    [["--run", "true", "--restarts", "many"], '--restarts must be a whole number, but is "many"'],
    [["--send", ""], '--send must be NAME=VALUE, but is ""'],
    [["--send", "READY"], '--send must be NAME=VALUE, but is "READY"'],
    [["--send", "READY=1", "--run", "true"], "--run and --send exclude each other"],
  ])("refuses %p with exit code 2", async (args, message) => {
    const { exitCode, stdout, stderr } = await runToEnd("sd-notify.ts", ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(`${message}\nusage: bun tasks/sd-notify.ts --run COMMAND`);
  });
});

describeReal("logger", { programs: ["logger"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("sends a message with its priority and its tag", () =>
    run(function* main() {
      using name = pathName();
      using socket = yield* bindUnixDatagram({ path: name.path!, mode: 0o666, passCredentials: true });
      const args = ["--socket", name.path!, "--priority", "local3.warning", "--tag", "our-tag", "zażółć a message"];
      const ended = runCommand(["logger", ...args]);
      const { text, processId } = yield* receiveText(socket);
      // RFC 3164: the facility, 19, times 8, and the severity, 4.
      expect(text).toMatch(/^<156>\w{3} [ \d]\d \d\d:\d\d:\d\d our-tag: zażółć a message$/);
      expect(processId).not.toBe(process.pid);
      yield* promise(ended);
    }));

  test("in the form of RFC 5424 as well", () =>
    run(function* main() {
      using name = pathName();
      using socket = yield* bindUnixDatagram({ path: name.path! });
      const args = ["--rfc5424", "--socket", name.path!, "--msgid", "ID47", "--tag", "tag", "the text"];
      const ended = runCommand(["logger", ...args]);
      expect((yield* receiveText(socket)).text).toMatch(/^<13>1 \S+ \S+ tag - ID47 \[timeQuality .*\] the text$/);
      yield* promise(ended);
    }));

  test("waits while we are slow: 2,000 lines come whole and in order", () =>
    run(function* main() {
      using folder = temporaryFolder();
      const file = joinPath(folder.name, "lines");
      const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index} ${"x".repeat(index % 500)}`);
      writeFileSync(file, lines.join("\n"));
      using name = pathName();
      using socket = yield* bindUnixDatagram({ path: name.path! });
      const ended = runCommand(["logger", "--socket", name.path!, "--tag", "t", "--file", file]);
      for (const line of lines) expect((yield* receiveText(socket)).text).toEndWith(` t: ${line}`);
      yield* promise(ended);
    }));

  test("finds a stream socket at the path as well", () =>
    run(function* main() {
      using name = pathName();
      using listener = yield* listenUnix({ path: name.path! });
      const ended = runCommand(["logger", "--socket", name.path!, "--tag", "tag", "over a stream"]);
      using stream = yield* listener.accept();
      expect(new TextDecoder().decode(yield* stream.readToEnd())).toMatch(/^<13>.* tag: over a stream\s?$/);
      yield* promise(ended);
    }));

  test("says that nobody is there when the socket is closed, whose file is gone", () =>
    run(function* main() {
      using name = pathName();
      (yield* bindUnixDatagram({ path: name.path! })).close();
      const child = Bun.spawn(["logger", "--socket-errors=on", "--socket", name.path!, "text"], { stderr: "pipe" });
      const [stderr] = yield* promise(Promise.all([child.stderr.text(), child.exited]));
      expect(stderr).toContain("No such file or directory");
      expect(child.exitCode).toBe(1);
    }));
});

function bindNotify({ path, abstract }: ReturnType<typeof pathName>): Operation<UnixDatagram> {
  return bindUnixDatagram({ ...(path === undefined ? { abstract } : { path }), passCredentials: true });
}

function* receiveText(
  socket: UnixDatagram,
): Operation<{ readonly text: string; readonly processId: number | undefined }> {
  const buffer = new Uint8Array(8_192);
  using message = yield* socket.receive(buffer);
  const text = new TextDecoder().decode(buffer.subarray(0, message.bytes));
  return { text, processId: message.credentials?.processId };
}
