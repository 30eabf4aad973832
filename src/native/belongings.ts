/**
 * What belongs to this thread, and is closed when the thread is gone, however it went: `zig/src/belongings.zig` says why and
 * how.
 */

import { type Pointer, toArrayBuffer } from "bun:ffi";
import { DESCRIPTORS_BYTES, type NativeFunctions, nativeLibrary, QUEUE_PAGE_BYTES } from "./library.ts";

/** Memory for a queue, by its address, which any thread can be told. It goes when the last thread that has it lets go. */
export type QueueMemory = number;

export function allocateQueue({ functions } = nativeLibrary()): QueueMemory {
  return Number(refuseNull(functions.queue_allocate()));
}

/** This thread has the memory from now on, until what is returned is collected as garbage or the thread ends. */
export function retainQueue(memory: QueueMemory, functions: NativeFunctions): ArrayBuffer {
  functions.queue_retain(memory as Pointer);
  return adopt(memory as Pointer, QUEUE_PAGE_BYTES, functions.queue_release);
}

/** The functions as a Worker calls them: what they open is closed when the Worker is gone. */
export function closingWithThread(functions: NativeFunctions): NativeFunctions {
  const own = new OwnDescriptors(functions);
  const notingPair = (result: number, pair: Int32Array): number => {
    if (result >= 0) for (const descriptor of pair.subarray(0, 2)) own.note(descriptor);
    return result;
  };
  return {
    ...functions,
    socket_create: (family) => own.note(functions.socket_create(family)),
    socket_accept: (listener) => own.note(functions.socket_accept(listener)),
    datagram_create: (families) => own.note(functions.datagram_create(families)),
    unix_create: (kind) => own.note(functions.unix_create(kind)),
    unix_make_pair: (kind, pair) => notingPair(functions.unix_make_pair(kind, pair), pair as Int32Array),
    file_open: (path, access) => own.note(functions.file_open(path, access)),
    file_duplicate: (descriptor) => own.note(functions.file_duplicate(descriptor)),
    file_make_pipe: (pair) => notingPair(functions.file_make_pipe(pair), pair as Int32Array),
    terminal_open_controller: () => own.note(functions.terminal_open_controller()),
    terminal_open_peer: (controller) => own.note(functions.terminal_open_peer(controller)),
    process_open: (processId) => own.note(functions.process_open(processId)),
    watch_open: () => own.note(functions.watch_open()),
    socket_close: (descriptor) => {
      own.forget(descriptor);
      return functions.socket_close(descriptor);
    },
  };
}

/** What is noted here is closed when the thread is gone without having closed it, as a Worker that is terminated does. */
class OwnDescriptors {
  private readonly lists: Int32Array[] = [];
  private readonly freePlaces: number[] = [];
  private readonly placeOf = new Map<number, number>();

  constructor(private readonly functions: NativeFunctions) {}

  /** Notes what a call has opened; passes its result on, which is an error if it is below zero. */
  note(descriptor: number): number {
    if (descriptor < 0) return descriptor;
    if (this.freePlaces.length === 0) this.takeList();
    const place = this.freePlaces.pop()!;
    this.placeOf.set(descriptor, place);
    this.listOf(place)[place % PLACES] = descriptor + 1;
    return descriptor;
  }

  /** To be called before a descriptor is closed: right after that, its number may be another thread's. */
  forget(descriptor: number): void {
    const place = this.placeOf.get(descriptor);
    if (place === undefined) return;
    this.listOf(place)[place % PLACES] = 0;
    this.placeOf.delete(descriptor);
    this.freePlaces.push(place);
  }

  private listOf(place: number): Int32Array {
    return this.lists[Math.trunc(place / PLACES)]!;
  }

  private takeList(): void {
    const { descriptors_allocate, descriptors_release } = this.functions;
    const memory = adopt(refuseNull(descriptors_allocate()), DESCRIPTORS_BYTES, descriptors_release);
    const first = this.lists.push(new Int32Array(memory)) * PLACES - PLACES;
    for (let place = first + PLACES - 1; place >= first; place--) this.freePlaces.push(place);
    // The heap must have the list for as long as the thread lives, whatever becomes of those who write in it.
    lists.push(memory);
  }
}

/** `Descriptors.capacity` in `zig/src/belongings.zig`. */
const PLACES = DESCRIPTORS_BYTES / 4;

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
