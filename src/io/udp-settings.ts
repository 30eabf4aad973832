/**
 * The settings of a UDP socket: what it may send to, how far, which groups it is a member of.
 *
 * Facts. The options of IPv4 and of IPv6 are apart (ip(7), ipv6(7)); a socket for both families has both. A group is
 * joined on one interface; without one the system takes that of its default route.
 *
 * Decision. A setting means all that the socket sends: it is made for each family that the socket has. Groups are of
 * the family of their address.
 */

import { DatagramOption, Families } from "../core/datagram-system.ts";
import { assertInteger, describeValue, inOtherWords } from "../core/errors.ts";
import { type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { DatagramSocket } from "./datagram-socket.ts";
import type { Place } from "./resolve.ts";

export interface UdpBuffers {
  /** How many bytes of datagrams may wait to be received; what comes beyond is dropped. */
  readonly receiveBytes: number;
  /** How many bytes may wait to be sent; then `send` suspends. */
  readonly sendBytes: number;
}

export abstract class UdpSettings extends DatagramSocket {
  constructor(
    system: System,
    descriptor: number,
    /** Which addresses the socket can send to. */
    protected readonly families: Families,
  ) {
    super(system, descriptor);
  }

  /**
   * Whether the socket may send to broadcast addresses (SO_BROADCAST of socket(7)), which is refused with `EACCES`
   * otherwise.
   * @throws SystemError; ClosedError after `close`
   */
  broadcast(isOn = true): void {
    this.refuseClosed("broadcast");
    this.setOption("IPv4", DatagramOption.BROADCAST, isOn ? 1 : 0);
  }

  /**
   * How many hops what the socket sends may take, from 1 to 255 (IP_TTL of ip(7), IPV6_UNICAST_HOPS of ipv6(7)).
   * @throws RangeError for a number out of range; SystemError; ClosedError after `close`
   */
  ttl(hops: number): void {
    this.refuseClosed("ttl");
    assertInteger("ttl: hops", hops, 1, MOST_HOPS);
    this.setForAll(DatagramOption.HOPS, hops);
  }

  /**
   * How many hops what the socket sends to a group may take, from 0, which stays on this host, to 255; the system
   * begins with 1, which stays on the local network.
   * @throws RangeError for a number out of range; SystemError; ClosedError after `close`
   */
  multicastTtl(hops: number): void {
    this.refuseClosed("multicastTtl");
    assertInteger("multicastTtl: hops", hops, 0, MOST_HOPS);
    this.setForAll(DatagramOption.MULTICAST_HOPS, hops);
  }

  /**
   * Whether the members of a group on this host get what the socket sends to it; the system begins with yes.
   * @throws SystemError; ClosedError after `close`
   */
  multicastLoopback(isOn = true): void {
    this.refuseClosed("multicastLoopback");
    this.setForAll(DatagramOption.MULTICAST_LOOPBACK, isOn ? 1 : 0);
  }

  /**
   * The interface through which the socket sends to groups: its name, such as `eth0`, its number, or an address that it
   * has; 0 lets the system choose.
   * @throws TypeError or RangeError for what can be none; SystemError `ENODEV` if there is no such interface;
   *   ClosedError after `close`
   */
  multicastInterface(which: string | number): void {
    this.refuseClosed("multicastInterface");
    this.setForAll(DatagramOption.MULTICAST_INTERFACE, this.interfaceIndex("multicastInterface", which));
  }

  /**
   * Joins a group, such as `239.1.2.3` or `ff02::fb`: what is sent to it, to the port of this socket, is received from
   * now on. On the interface that is named as in `multicastInterface`, or on one that the system chooses.
   * @throws TypeError if `group` is no address of a group, or of a family that the socket does not have; SystemError
   *   such as `EADDRINUSE` if the socket has joined it already, or `ENODEV` if there is no such interface; ClosedError
   *   after `close`
   */
  joinGroup(group: string, which: string | number = ANY_INTERFACE): void {
    this.setMembership("joinGroup", group, which, true);
  }

  /**
   * Leaves a group, with the interface that was named to join it.
   * @throws what `joinGroup` throws; SystemError `EADDRNOTAVAIL` if the socket is no member
   */
  leaveGroup(group: string, which: string | number = ANY_INTERFACE): void {
    this.setMembership("leaveGroup", group, which, false);
  }

  /**
   * Changes the sizes of the socket's buffers, as far as the system allows (SO_RCVBUF and SO_SNDBUF of socket(7),
   * net.core.rmem_max). What is not given stays.
   * @returns the sizes that the socket has then; Linux counts its own bookkeeping, and so gives twice as much
   * @throws RangeError for a size out of range; SystemError; ClosedError after `close`
   */
  resizeBuffers({ receiveBytes, sendBytes }: Partial<UdpBuffers> = {}): UdpBuffers {
    this.refuseClosed("resizeBuffers");
    if (receiveBytes !== undefined) {
      assertInteger("resizeBuffers: receiveBytes", receiveBytes, 1, LARGEST_BUFFER_BYTES);
      this.check(this.system.setOption(this.descriptor, SocketOption.RECEIVE_BUFFER_BYTES, receiveBytes), "setsockopt");
    }
    if (sendBytes !== undefined) {
      assertInteger("resizeBuffers: sendBytes", sendBytes, 1, LARGEST_BUFFER_BYTES);
      this.check(this.system.setOption(this.descriptor, SocketOption.SEND_BUFFER_BYTES, sendBytes), "setsockopt");
    }
    return {
      receiveBytes: this.system.getOption(this.descriptor, SocketOption.RECEIVE_BUFFER_BYTES),
      sendBytes: this.system.getOption(this.descriptor, SocketOption.SEND_BUFFER_BYTES),
    };
  }

  /** Whether the socket can send to addresses of a family. */
  protected has(family: SocketAddress["family"]): boolean {
    return this.families === Families.BOTH || this.families === (family === "IPv4" ? Families.IPV4 : Families.IPV6);
  }

  protected check(result: number, call: string, place: Partial<SocketAddress> = {}): void {
    if (result < 0) throw this.system.errorOf(result, call, place);
  }

  private setForAll(option: DatagramOption, value: number): void {
    if (this.has("IPv6")) this.setOption("IPv6", option, value);
    if (this.has("IPv4")) this.setOption("IPv4", option, value);
  }

  private setOption(family: SocketAddress["family"], option: DatagramOption, value: number): void {
    this.check(this.system.datagrams.setOption(this.descriptor, family, option, value), "setsockopt");
  }

  private setMembership(call: string, group: string, which: string | number, isMember: boolean): void {
    this.refuseClosed(call);
    const place = typeof group === "string" ? this.system.parseAddress(group) : null;
    if (place === null || !isGroup(place)) {
      throw new TypeError(
        `${call}: group must be an address of a group (224.0.0.0/4, ff00::/8), but is ${describeValue(group)}`,
      );
    }
    if (!this.has(place.family)) {
      throw new TypeError(`${call}: ${group} is a group of ${place.family}, which ${this.label} does not have`);
    }
    const index = this.interfaceIndex(call, which);
    const result = this.system.datagrams.setMembership(this.descriptor, place, index, isMember);
    this.check(result, "setsockopt", { host: group });
  }

  private interfaceIndex(call: string, which: string | number): number {
    if (typeof which === "number") {
      assertInteger(`${call}: interface`, which, 0, HIGHEST_INTERFACE);
      return which;
    }
    return interfaceIndexOf(this.system, call, which);
  }
}

/** The number of an interface, by its name or by an address of it. */
export function interfaceIndexOf(system: System, call: string, nameOrAddress: string): number {
  if (typeof nameOrAddress !== "string" || nameOrAddress === "") {
    throw new TypeError(
      `${call}: the interface must be a name, a number or an address, but is ${describeValue(nameOrAddress)}`,
    );
  }
  const index = system.datagrams.interfaceIndex(nameOrAddress);
  if (index >= 0) return index;
  throw inOtherWords(system.errorOf(index, "ioctl"), `${call}: there is no interface ${describeValue(nameOrAddress)}`);
}

function isGroup({ host, family }: Place): boolean {
  if (family === "IPv6") return host.startsWith("ff");
  const first = Number.parseInt(host, 10);
  return first >= FIRST_GROUP && first <= LAST_GROUP;
}

const ANY_INTERFACE = 0;
const HIGHEST_INTERFACE = 0x7fffffff;
const MOST_HOPS = 255;
/** The kernel takes half of what an integer holds. */
const LARGEST_BUFFER_BYTES = 0x3fffffff;
/** 224.0.0.0 to 239.255.255.255 (RFC 5771). */
const FIRST_GROUP = 224;
const LAST_GROUP = 239;
