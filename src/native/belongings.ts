/**
 * What belongs to this thread, and is closed when the thread is gone, however it went: `zig/src/belongings.zig` says why and
 * how.
 */

import { type Pointer, toArrayBuffer } from "bun:ffi";
import {
  DESCRIPTORS_BYTES,
  type NativeFunctions,
  nativeLibrary,
  QUEUE_PAGE_BYTES,
  type QueueFunctions,
} from "./library.ts";

/** Memory for a queue, by its address, which any thread can be told. It goes when the last thread that has it lets go. */
export type QueueMemory = number;

export function allocateQueue({ functions } = nativeLibrary()): QueueMemory {
  return Number(refuseNull(functions.queue_allocate()));
}

/** This thread has the memory from now on, until what is returned is collected as garbage or the thread ends. */
export function retainQueue(memory: QueueMemory, functions: QueueFunctions): ArrayBuffer {
  functions.queue_retain(memory as Pointer);
  return adopt(memory as Pointer, QUEUE_PAGE_BYTES, functions.queue_release);
}

/** The functions as a Worker calls them: what they open is closed when the Worker is gone. */
export function closingWithThread(functions: NativeFunctions): NativeFunctions {
  const own = new OwnDescriptors(functions);
  return {
    ...functions,
    socket_create: (family) => own.open((place) => functions.noted_socket_create(family, place)),
    socket_accept: (listener) => own.open((place) => functions.noted_socket_accept(listener, place)),
    datagram_create: (family) => own.open((place) => functions.noted_datagram_create(family, place)),
    unix_create: (kind) => own.open((place) => functions.noted_unix_create(kind, place)),
    unix_make_pair: (kind, pair) =>
      own.openPair(pair, (first, second) => functions.noted_unix_make_pair(kind, pair, first, second)),
    file_open: (path, access) => own.open((place) => functions.noted_file_open(path, access, place)),
    file_make_pipe: (pair) =>
      own.openPair(pair, (first, second) => functions.noted_file_make_pipe(pair, first, second)),
    terminal_open_controller: () => own.open((place) => functions.noted_terminal_open_controller(place)),
    terminal_open_peer: (controller) => own.open((place) => functions.noted_terminal_open_peer(controller, place)),
    process_open: (processId) => own.open((place) => functions.noted_process_open(processId, place)),
    watch_open: () => own.open((place) => functions.noted_watch_open(place)),
    socket_close: (descriptor) => own.close(descriptor),
  };
}

/**
 * What is noted here is closed when the thread is gone without having closed it, as a Worker that is terminated does. Native
 * code notes it, within the call that opens it; here is known which places are free.
 */
class OwnDescriptors {
  /** The addresses of places in native lists. */
  private readonly freePlaces: Pointer[] = [];
  private readonly placeOf = new Map<number, Pointer>();

  constructor(private readonly functions: NativeFunctions) {}

  /** Calls what opens one, with a place for it; passes its result on, which is an error if it is below zero. */
  open(call: (place: Pointer) => number): number {
    const place = this.takePlace();
    const descriptor = call(place);
    if (descriptor < 0) this.freePlaces.push(place);
    else this.placeOf.set(descriptor, place);
    return descriptor;
  }

  /** The same for what opens two, whose numbers are in the pair then. */
  openPair(pair: unknown, call: (first: Pointer, second: Pointer) => number): number {
    const first = this.takePlace();
    const second = this.takePlace();
    const result = call(first, second);
    if (result < 0) this.freePlaces.push(second, first);
    else {
      const [one, other] = pair as Int32Array;
      this.placeOf.set(one!, first).set(other!, second);
    }
    return result;
  }

  /** Closes one, and what was not opened here as well. */
  close(descriptor: number): number {
    const place = this.placeOf.get(descriptor);
    if (place === undefined) return this.functions.socket_close(descriptor);
    this.placeOf.delete(descriptor);
    this.freePlaces.push(place);
    return this.functions.noted_close(descriptor, place);
  }

  private takePlace(): Pointer {
    if (this.freePlaces.length === 0) this.takeList();
    return this.freePlaces.pop()!;
  }

  private takeList(): void {
    const { descriptors_allocate, descriptors_release } = this.functions;
    const list = refuseNull(descriptors_allocate());
    // The heap must have the list for as long as the thread lives, whatever becomes of those who note something in it.
    lists.push(adopt(list, DESCRIPTORS_BYTES, descriptors_release));
    for (let offset = DESCRIPTORS_BYTES - PLACE_BYTES; offset >= 0; offset -= PLACE_BYTES)
      this.freePlaces.push((Number(list) + offset) as Pointer);
  }
}

/** `Descriptors.places` in `zig/src/belongings.zig`. */
const PLACE_BYTES = 4;

const lists: ArrayBuffer[] = [];

/** Native memory as a buffer; `release` is called with its address when the heap is done with it. */
function adopt(address: Pointer | bigint, lengthBytes: number, release: object): ArrayBuffer {
  return (toArrayBuffer as AdoptingCall)(address, 0, lengthBytes, null, (release as NativeFunction).ptr);
}

/** What Bun's types leave out: the context and the address of the function that gives the memory back. */
type AdoptingCall = (
  address: Pointer | bigint,
  offsetBytes: number,
  lengthBytes: number,
  context: null,
  release: Pointer,
) => ArrayBuffer;

/** Likewise: every function of a library has its address. */
interface NativeFunction {
  readonly ptr: Pointer;
}

function refuseNull(address: Pointer | bigint | null): Pointer | bigint {
  if (address !== null) return address;
  throw new Error("the operating system has no memory left for a page");
}
