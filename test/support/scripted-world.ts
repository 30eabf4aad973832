/**
 * A world without a kernel: the virtual driver, and a system whose connections come out
 * as the test has written down. What is done to it is kept in `log`, each entry with its time.
 */

import { Readiness } from "../../src/core/interest.ts";
import { SystemError } from "../../src/core/errors.ts";
import type { SocketAddress, System } from "../../src/core/system.ts";
import { parseAddress } from "../../src/native/address.ts";
import { errorOf, meaningOf } from "../../src/native/status.ts";
import { errno } from "./errno.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";

/** How a connection to an address comes out. */
export interface Outcome {
  /** Virtual milliseconds after connect; Infinity for a peer that never answers, 0 for an answer of connect itself. */
  readonly afterMs: number;
  /** 0, or a negated error number. */
  readonly result: number;
}

export const NEVER: Outcome = { afterMs: Infinity, result: 0 };

export class ScriptedWorld extends VirtualDriver {
  override readonly system: System;
  readonly log: string[] = [];
  readonly warnings: string[] = [];
  /** The descriptors that are open, and where they were connected to. */
  readonly open = new Map<number, string>();

  private nextDescriptor = 100;
  private readonly due: { readonly atNs: number; readonly descriptor: number }[] = [];
  private readonly results = new Map<number, number>();

  constructor(
    /** What each name stands for; a name that is not there is unknown. */
    private readonly names: Readonly<Record<string, readonly string[]>>,
    /** How the connection to each address comes out. */
    private readonly outcomes: Readonly<Record<string, Outcome>>,
    overrides: Partial<System> = {},
  ) {
    super();
    this.system = { ...this.makeSystem(), ...overrides };
  }

  override poll(timeoutNs: number): number {
    this.declareDue();
    return super.poll(timeoutNs);
  }

  override park(deadlineNs: number, isWaiting: boolean): boolean {
    this.declareDue();
    return super.park(Math.min(deadlineNs, ...this.due.map(({ atNs }) => atNs)), isWaiting);
  }

  private declareDue(): void {
    for (const event of this.due.filter(({ atNs }) => atNs <= this.nowNs)) {
      this.due.splice(this.due.indexOf(event), 1);
      this.declareReady(event.descriptor, Readiness.WRITABLE);
    }
  }

  private note(words: string): void {
    this.log.push(`${this.nowNs / 1e6} ms: ${words}`);
  }

  private makeSystem(): System {
    const nothing = (): number => 0;
    return {
      meaningOf,
      errorOf,
      shortReadIsLast: true,
      timedOut: -errno.ETIMEDOUT,
      hungUp: -errno.EIO,
      parseAddress,
      warn: (message) => void this.warnings.push(message),
      resolve: (name) => this.resolve(name),
      createSocket: () => {
        const descriptor = this.nextDescriptor++;
        this.open.set(descriptor, "unconnected");
        return descriptor;
      },
      bind: nothing,
      listen: nothing,
      accept: () => -errno.EAGAIN,
      connect: (descriptor, address) => this.connect(descriptor, address),
      takeError: (descriptor) => this.results.get(descriptor)!,
      receive: () => -errno.EAGAIN,
      send: (_descriptor, _buffer, _offset, length) => length,
      sendVectored: () => -errno.EAGAIN,
      shutdown: nothing,
      close: (descriptor) => {
        this.note(`close ${this.open.get(descriptor)}`);
        this.forget(descriptor);
        if (!this.open.delete(descriptor)) throw new Error(`descriptor ${descriptor} was closed twice`);
        return 0;
      },
      setOption: nothing,
      getOption: nothing,
      localAddress: () => ({ host: "192.0.2.1", port: 1, family: "IPv4" }),
      peerAddress: (descriptor) => ({ ...parseAddress(this.open.get(descriptor)!)!, port: 80 }),
      files: unscripted("files"),
      unix: unscripted("unix"),
      datagrams: unscripted("datagrams"),
      terminals: unscripted("terminals"),
      processes: unscripted("processes"),
      watching: unscripted("watching"),
    };
  }

  private connect(descriptor: number, { host }: SocketAddress): number {
    this.note(`connect ${host}`);
    this.open.set(descriptor, host);
    const outcome = this.outcomes[host];
    if (outcome === undefined) throw new Error(`the test does not say how a connection to ${host} comes out`);
    this.results.set(descriptor, outcome.result);
    if (outcome.afterMs === 0) return outcome.result;
    if (outcome.afterMs < Infinity) this.due.push({ atNs: this.nowNs + outcome.afterMs * 1e6, descriptor });
    return -errno.EINPROGRESS;
  }

  private forget(descriptor: number): void {
    this.declareIdle(descriptor);
    const event = this.due.find((other) => other.descriptor === descriptor);
    if (event !== undefined) this.due.splice(this.due.indexOf(event), 1);
  }

  private async resolve(name: string): Promise<readonly string[]> {
    const addresses = this.names[name];
    if (addresses !== undefined) return addresses;
    throw new SystemError({ code: "ENOTFOUND", errno: -3008, description: "no such name", syscall: "getaddrinfo" });
  }
}

/** A part of the system that no test of this world uses. */
function unscripted<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: (_target, call) => {
      throw new Error(`the scripted world has no ${name}.${String(call)}`);
    },
  });
}
