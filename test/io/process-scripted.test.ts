/** Children of a system that does what the test has written down: what is left when a step fails. */

import { describe, expect, test } from "bun:test";
import { constants } from "node:os";
import type { FileSystem } from "../../src/core/file-system.ts";
import { Readiness } from "../../src/core/interest.ts";
import type { ExitStatus, HostPipe, ProcessSystem } from "../../src/core/process-system.ts";
import {
  cancel,
  type ChildProcess,
  Executor,
  join,
  type Operation,
  spawn,
  startProcess,
  SystemError,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { errorOf } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";
import { gap, testUnless } from "../support/platform.ts";

const { EINVAL, EMFILE, ENOSYS, EPERM, ESRCH } = errno;

const CHILD = 4_000_000;

class ProcessWorld extends ScriptedWorld {
  /** The descriptors that are open. */
  readonly openNow = new Set<number>();
  readonly signals: number[] = [];
  status: ExitStatus | null = null;
  private readonly exit = Promise.withResolvers<void>();

  constructor(files: Partial<FileSystem> = {}, processes: Partial<ProcessSystem> = {}) {
    let next = 10;
    const self = (): ProcessWorld => this;
    const open = (): number => {
      self().openNow.add(next);
      return next++;
    };
    super(
      {},
      {},
      {
        files: {
          makePipe: () => ({ reader: open(), writer: open() }),
          setNonBlocking: () => 0,
          ...files,
        } as FileSystem,
        processes: {
          pipesHaveReadiness: true,
          openPipe: () => Promise.reject(new Error("there are none of these")),
          hasDescriptors: true,
          refuseBlocking: () => {},
          start: () => ({
            processId: CHILD,
            exited: self().exit.promise,
            get status() {
              return self().status;
            },
          }),
          open,
          peekStatus: () => -errno.EAGAIN,
          signalGroup: (group, signal) => self().signal(group, signal),
          signalNumber: (name) => constants.signals[name as NodeJS.Signals],
          membersOf: () => [],
          ...processes,
        },
        close: (descriptor) => {
          if (!self().openNow.delete(descriptor)) throw new Error(`descriptor ${descriptor} was closed twice`);
          return 0;
        },
      },
    );
  }

  end(status: ExitStatus): void {
    this.status = status;
    this.exit.resolve();
  }

  private signal(group: number, signal: number): number {
    expect(group).toBe(CHILD);
    if (this.status !== null) return -ESRCH;
    if (signal !== 0) this.signals.push(signal);
    if (signal === constants.signals.SIGKILL) this.end({ exitCode: null, signal: "SIGKILL" });
    return 0;
  }
}

function inWorld<T>(world: ProcessWorld, body: () => Operation<T>): Promise<T> {
  return settled(world, new Executor(world).run(body));
}

function startWithPipes(): Operation<ChildProcess> {
  return startProcess(["program"], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
}

describe("a start that fails leaves no descriptor", () => {
  test.each([1, 2, 3])("when there is no pipe number %d", async (failing) => {
    let made = 0;
    const world: ProcessWorld = new ProcessWorld({
      makePipe: () => {
        if (++made === failing) return -EMFILE;
        world.openNow.add(100 + 2 * made).add(101 + 2 * made);
        return { reader: 100 + 2 * made, writer: 101 + 2 * made };
      },
    });
    expect(await rejectionOf(inWorld(world, startWithPipes), SystemError)).toMatchObject({
      code: "EMFILE",
      syscall: "pipe",
    });
    expect([...world.openNow]).toEqual([]);
  });

  test("when a pipe cannot be made blocking", async () => {
    const world = new ProcessWorld({ setNonBlocking: () => -EINVAL });
    expect(await rejectionOf(inWorld(world, startWithPipes), SystemError)).toMatchObject({ syscall: "fcntl" });
    expect([...world.openNow]).toEqual([]);
  });

  test("when the program cannot be started", async () => {
    const world = new ProcessWorld(
      {},
      {
        start: () => {
          throw new Error("the start failed");
        },
      },
    );
    expect((await rejectionOf(inWorld(world, startWithPipes))).message).toBe("the start failed");
    expect([...world.openNow]).toEqual([]);
  });
});

describe("the end of a scope", () => {
  testUnless(gap({ win32: "win32 has no SIGCONT" }))(
    "sends SIGTERM, and SIGKILL once the grace is over, on the executor's clock",
    async () => {
      const world = new ProcessWorld();
      const child = await inWorld(world, () => startWithPipes());
      const { SIGTERM, SIGCONT, SIGKILL } = constants.signals;
      expect(world.signals).toEqual([SIGTERM, SIGCONT, SIGKILL]);
      expect(world.nowNs / 1e6).toBe(3_000);
      expect(child.status).toEqual({ exitCode: null, signal: "SIGKILL" });
      expect([...world.openNow]).toEqual([]);
    },
  );

  testUnless(gap({ win32: "win32 has no SIGCONT" }))("kills nobody if the child heeds SIGTERM", async () => {
    const { SIGTERM, SIGCONT } = constants.signals;
    const world: ProcessWorld = new ProcessWorld(
      {},
      {
        signalGroup: (_group, signal) => {
          if (world.status !== null) return -ESRCH;
          world.signals.push(signal);
          if (signal === SIGCONT) world.end({ exitCode: 0, signal: null });
          return 0;
        },
      },
    );
    await inWorld(world, startWithPipes);
    expect(world.signals).toEqual([SIGTERM, SIGCONT]);
    expect(world.nowNs).toBe(0);
  });

  test("of a child that belongs to somebody else by now is an error, and its pipes are closed", async () => {
    const world = new ProcessWorld({}, { signalGroup: () => -EPERM });
    const error = await rejectionOf(inWorld(world, startWithPipes), SystemError);
    expect(error).toMatchObject({ code: "EPERM", syscall: "kill" });
    expect([...world.openNow]).toEqual([]);
  });

  test("stop throws it to whoever asked", async () => {
    const world = new ProcessWorld({}, { signalGroup: () => -EPERM });
    await inWorld(world, function* main() {
      const child = yield* startWithPipes();
      expect(yield* errorOf(child.stop())).toMatchObject({ code: "EPERM" });
    });
    expect([...world.openNow]).toEqual([]);
  });
});

describe("blockOn on a kernel without descriptors of processes", () => {
  test("refuses to start a child, and leaves none", () => {
    const world = new ProcessWorld({}, { open: () => -ENOSYS });
    const error = thrownBy(() => new Executor(world).blockOn(startWithPipes), UnsupportedError);
    expect(error.message).toContain(`child program (process ${CHILD}) cannot be waited for inside blockOn`);
    expect(world.signals).toEqual([constants.signals.SIGKILL]);
    expect([...world.openNow]).toEqual([]);
  });
});

describe("a group whose members have no descriptors", () => {
  test("is looked at again and again, at the longest a tenth of a second apart, until nobody is left", async () => {
    const looks: number[] = [];
    const world: ProcessWorld = new ProcessWorld(
      {},
      {
        hasDescriptors: false,
        open: () => expect.unreachable("there are none"),
        signalGroup: (_group, signal) => (signal === 0 && looks.length < 10 ? 0 : -ESRCH),
        membersOf: () => {
          looks.push(world.nowNs / 1e6);
          return [CHILD + 1];
        },
      },
    );
    world.end({ exitCode: 0, signal: null });
    await inWorld(world, function* main() {
      const child = yield* startProcess(["program"], { stdout: "ignore" });
      yield* join(child.keeper);
    });
    expect(looks).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 227, 327]);
  });
});

/** A pipe of the host in memory: what is written comes back, one piece at a time, when the test says so. */
class LoopPipe implements HostPipe {
  readonly childDescriptor = 7;
  readonly log: string[] = [];
  private held: Uint8Array | null = null;

  constructor(private readonly tell: (readiness: Readiness) => void) {}

  closeChildEnd(): void {
    this.log.push("child's end closed");
  }

  close(): void {
    this.log.push("closed");
  }

  receive(_descriptor: number, buffer: Uint8Array, offset: number, length: number): number {
    if (this.held === null) return -errno.EAGAIN;
    const bytes = Math.min(length, this.held.byteLength);
    buffer.set(this.held.subarray(0, bytes), offset);
    this.held = null;
    queueMicrotask(() => this.tell(Readiness.WRITABLE));
    return bytes;
  }

  send(_descriptor: number, buffer: Uint8Array, offset: number, length: number): number {
    if (this.held !== null) return -errno.EAGAIN;
    this.held = buffer.slice(offset, offset + Math.min(length, 3));
    queueMicrotask(() => this.tell(Readiness.READABLE));
    return this.held.byteLength;
  }

  sendVectored(descriptor: number, parts: readonly Uint8Array[], first: number, offset: number): number {
    const part = parts[first]!;
    return this.send(descriptor, part, offset, part.byteLength - offset);
  }
}

describe("pipes that the host moves the bytes of", () => {
  /** A world whose pipes open when the test says so; both ends of a child are one loop. */
  function loopWorld(): { world: ProcessWorld; pipe: () => LoopPipe; open: () => void; started: () => number } {
    const opening = Promise.withResolvers<void>();
    let loop: LoopPipe | null = null;
    let starts = 0;
    const tellers: ((readiness: Readiness) => void)[] = [];
    const world: ProcessWorld = new ProcessWorld(
      {},
      {
        pipesHaveReadiness: false,
        hasDescriptors: false,
        openPipe: async (_end, tell) => {
          tellers.push(tell);
          await opening.promise;
          loop ??= new LoopPipe((readiness) => tellers.forEach((each) => each(readiness)));
          return loop;
        },
        start: (order) => {
          starts++;
          expect(order.descriptors).toEqual([7, 7, "inherit"]);
          return { processId: CHILD, status: { exitCode: 0, signal: null }, exited: Promise.resolve() };
        },
        signalGroup: () => -ESRCH,
      },
    );
    return { world, pipe: () => loop!, open: () => opening.resolve(), started: () => starts };
  }

  test("are streams like any other, and closed with the child", async () => {
    const { world, pipe, open } = loopWorld();
    open();
    const text = await inWorld(world, function* main() {
      const child = yield* startProcess(["program"], { stdin: "pipe" });
      expect(child.stdin.label).toBe("stdin of child program (process 4000000) (the writing end)");
      expect(child.stdin.descriptor).toBe(-1);
      const writing = yield* spawn(() => child.stdin.writeAll(["hello ", "", "world\n"]));
      const line = yield* child.stdout.lines().next();
      yield* join(writing);
      yield* child.stop();
      expect(child.stdout.isClosed).toBe(true);
      return line.value;
    });
    expect(text).toBe("hello world");
    expect(pipe().log).toEqual(["child's end closed", "child's end closed", "closed", "closed"]);
  });

  test("start nothing, and are closed as soon as they are open, if the task was cancelled meanwhile", async () => {
    const { world, pipe, open, started } = loopWorld();
    await inWorld(world, function* main() {
      const starting = yield* spawn(() => startProcess(["program"], { stdin: "pipe" }));
      while (starting.waitsFor !== "a pipe to a child to be opened") yield* yieldNow();
      yield* cancel(starting);
      expect(starting.state).toBe("cancelled");
    });
    open();
    await hostTurn();
    expect(pipe().log).toEqual(["child's end closed", "closed"]);
    expect(started()).toBe(0);
  });
});
