/**
 * The pipes between this process and a child.
 *
 * Facts. A pipe's ends are open file descriptions of their own (pipe(7)), and O_NONBLOCK belongs to the description:
 * most programs break when they find their standard input or output non-blocking. On Windows no event queue tells when
 * a pipe is ready; there the host moves its bytes.
 *
 * Decision. Each pipe is non-blocking at our end, blocking at the child's, and the child's ends are closed here as soon
 * as it has them. A pipe of the host looks like a descriptor to its stream, with a source that the host tells about.
 */

import { Access } from "../core/file-system.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { park } from "../core/park.ts";
import { type ChildDescriptor, ChildEnd, type HostPipe } from "../core/process-system.ts";
import { type Giver, type Suspension, SuspendRequest, type Undo } from "../core/request.ts";
import { HostSource, type Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { PipeStream } from "./pipe.ts";

/**
 * What a standard descriptor of a child is: a pipe to this process (`"pipe"`), the same as this process's own
 * (`"inherit"`), /dev/null (`"ignore"`), or the file behind a descriptor of this process, such as the end of a
 * terminal, which stays open here.
 */
export type ChildStream = "pipe" | "inherit" | "ignore" | number;

export type StreamName = "stdin" | "stdout" | "stderr";

/**
 * The pipes of a child that is about to be started: at the end of the block the child's ends are closed, and ours too
 * if nobody has taken them.
 */
export class ChildPipesToBe implements Disposable {
  private readonly ends = new Map<StreamName, OpenedPipe>();
  private areTaken = false;

  constructor(private readonly system: System) {}

  /** What the child gets. */
  *open(name: StreamName, stream: ChildStream): Operation<ChildDescriptor> {
    if (stream !== "pipe") return stream;
    const { system } = this;
    const end = name === "stdin" ? ChildEnd.READS : ChildEnd.WRITES;
    const opened = system.processes.pipesHaveReadiness ? makePipe(system, end) : yield* openHostPipe(system, end);
    this.ends.set(name, opened);
    opened.begin();
    return opened.childDescriptor;
  }

  take(label: string): ChildPipes {
    this.areTaken = true;
    return new ChildPipes(this.ends, label);
  }

  [Symbol.dispose](): void {
    for (const pipe of this.ends.values()) {
      pipe.closeChildEnd();
      if (!this.areTaken) pipe.close();
    }
  }
}

/** Our ends of a child's pipes. */
export class ChildPipes {
  private readonly pipes = new Map<StreamName, PipeStream>();
  private whenClosed: (() => void) | null = null;

  constructor(ends: ReadonlyMap<StreamName, OpenedPipe>, label: string) {
    for (const [name, pipe] of ends)
      this.pipes.set(
        name,
        pipe.toStream(`${name} of ${label}`, () => this.closed()),
      );
  }

  get(name: StreamName): PipeStream | undefined {
    return this.pipes.get(name);
  }

  close(): void {
    for (const pipe of this.pipes.values()) pipe.close();
  }

  /** Waits until whoever uses the pipes has closed them all. */
  *allClosed(): Operation<void> {
    if (this.areClosed) return;
    yield* park<void>(({ succeed }) => {
      this.whenClosed = () => succeed();
      return () => void (this.whenClosed = null);
    }, "the pipes of a child to be closed");
  }

  private get areClosed(): boolean {
    return this.pipes.values().every((pipe) => pipe.isClosed);
  }

  private closed(): void {
    if (this.areClosed) this.whenClosed?.();
  }
}

/** A pipe that is open, and no stream yet. */
interface OpenedPipe {
  readonly childDescriptor: number;
  /** Makes it ready for the child. */
  begin(): void;
  closeChildEnd(): void;
  close(): void;
  toStream(name: string, closed: () => void): PipeStream;
}

function makePipe(system: System, end: ChildEnd): OpenedPipe {
  const ends = system.files.makePipe();
  if (typeof ends === "number") throw system.errorOf(ends, "pipe");
  const [own, other] = end === ChildEnd.READS ? [ends.writer, ends.reader] : [ends.reader, ends.writer];
  return {
    childDescriptor: other,
    begin: () => {
      const result = system.files.setNonBlocking(other, false);
      if (result < 0) throw system.errorOf(result, "fcntl");
    },
    closeChildEnd: () => void system.close(other),
    close: () => void system.close(own),
    toStream: (name, closed) => new ChildPipe(system, own, name, accessFor(end), closed),
  };
}

function* openHostPipe(system: System, end: ChildEnd): Operation<OpenedPipe> {
  const owner = { label: "a pipe to a child" };
  const source = new HostSource(owner);
  const opening = system.processes.openPipe(end, (readiness) => source.deliver(readiness));
  const pipe = yield* new RequestOperation<HostPipe>("startProcess", new OpeningWait(opening));
  return {
    childDescriptor: pipe.childDescriptor,
    begin: () => {},
    closeChildEnd: () => pipe.closeChildEnd(),
    close: () => pipe.close(),
    toStream: (name, closed) => {
      owner.label = name;
      return new HostPipeStream(system, { source, pipe }, name, accessFor(end), closed);
    },
  };
}

/** Waits for a pipe. One that comes when nobody wants it any more is closed. */
class OpeningWait extends SuspendRequest implements Undo, Giver<HostPipe> {
  /** Who waits; null before, and once the wait is over. */
  private suspension: Suspension | null = null;

  constructor(private readonly opening: Promise<HostPipe>) {
    super();
  }

  describe(): string {
    return "a pipe to a child to be opened";
  }

  arm(suspension: Suspension): Undo {
    this.suspension = suspension;
    suspension.scheduler.hostWaitCount++;
    this.opening.then(
      (pipe) => this.opened(pipe),
      (error: unknown) => this.finish()?.fail(error),
    );
    return this;
  }

  undo(): void {
    this.finish();
  }

  giveBack(pipe: HostPipe): void {
    pipe.closeChildEnd();
    pipe.close();
  }

  private opened(pipe: HostPipe): void {
    const suspension = this.finish();
    if (suspension === null) this.giveBack(pipe);
    else suspension.handOver(pipe, this);
  }

  private finish(): Suspension | null {
    const { suspension } = this;
    this.suspension = null;
    if (suspension !== null) suspension.scheduler.hostWaitCount--;
    return suspension;
  }
}

/** Our access to a pipe of which the child has the other end. */
function accessFor(end: ChildEnd): Access {
  return end === ChildEnd.READS ? Access.WRITE : Access.READ;
}

class ChildPipe extends PipeStream {
  constructor(
    system: System,
    descriptor: number,
    name: string,
    access: Access,
    private readonly closed: () => void,
  ) {
    super(system, descriptor, name, access);
  }

  protected override closeDescriptor(): void {
    super.closeDescriptor();
    this.closed();
  }
}

class HostPipeStream extends PipeStream {
  constructor(
    system: System,
    private readonly host: { readonly source: Source; readonly pipe: HostPipe },
    name: string,
    access: Access,
    private readonly closed: () => void,
  ) {
    super(system, host.source, name, access, host.pipe);
  }

  protected override closeDescriptor(): void {
    this.host.pipe.close();
    this.closed();
  }
}
