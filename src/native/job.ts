/**
 * Job objects of Windows: what a group of processes is elsewhere.
 *
 * Facts. A process that is in a job has its descendants in it, and none can leave it unless the job allows that (Job
 * Objects). A job can be ended as a whole, and tells who is in it. With JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE its processes
 * end when its last handle is closed, also by the end of this process. Bun puts its children into a job of its own, which
 * ends with this process; a process may be in several, one inside the other.
 *
 * Decision. Each child is put into a job as soon as it is started. What it starts before that, in the first fraction of a
 * millisecond, is not reached. No error number is read: FFI calls do not keep that of the thread.
 */

import { dlopen } from "bun:ffi";

export class Job {
  private readonly processIds = new BigUint64Array(ID_LIST_HEADER_WORDS + MOST_PROCESS_IDS);
  private isClosed = false;

  private constructor(private readonly handle: Handle) {}

  /** A new job with a process in it; null if the system gives none. */
  static of(processId: number): Job | null {
    const { CreateJobObjectW, OpenProcess, AssignProcessToJobObject, CloseHandle } = kernel();
    const handle = CreateJobObjectW(null, null);
    if (handle === NO_HANDLE) return null;
    const job = new Job(handle);
    const child = OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, 0, processId);
    const isInside = child !== NO_HANDLE && job.endsWithHandle() && AssignProcessToJobObject(handle, child) !== 0;
    if (child !== NO_HANDLE) CloseHandle(child);
    if (isInside) return job;
    job.close();
    return null;
  }

  /** The processes in it that have not ended, some hundred at the most. */
  members(): number[] {
    if (this.isClosed) return [];
    const { QueryInformationJobObject } = kernel();
    const { processIds } = this;
    processIds.fill(0n);
    QueryInformationJobObject(this.handle, BASIC_PROCESS_ID_LIST, processIds, processIds.byteLength, null);
    const [, listed] = new Uint32Array(processIds.buffer, 0, 2);
    return [...processIds.subarray(ID_LIST_HEADER_WORDS, ID_LIST_HEADER_WORDS + listed!)].map(Number);
  }

  /** Ends all that are in it, with an exit code. */
  terminate(exitCode: number): void {
    if (!this.isClosed) kernel().TerminateJobObject(this.handle, exitCode);
  }

  /** Lets go of it. What is still in it ends. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    kernel().CloseHandle(this.handle);
  }

  private endsWithHandle(): boolean {
    const limits = new Uint8Array(EXTENDED_LIMITS_BYTES);
    new DataView(limits.buffer).setUint32(LIMIT_FLAGS_PLACE, LIMIT_KILL_ON_JOB_CLOSE, true);
    return kernel().SetInformationJobObject(this.handle, EXTENDED_LIMITS, limits, limits.byteLength) !== 0;
  }
}

/** Of the kernel, as wide as a pointer. */
type Handle = bigint;

const NO_HANDLE = 0n;

const FUNCTIONS = {
  CreateJobObjectW: { args: ["ptr", "ptr"], returns: "u64" },
  SetInformationJobObject: { args: ["u64", "i32", "ptr", "u32"], returns: "i32" },
  AssignProcessToJobObject: { args: ["u64", "u64"], returns: "i32" },
  QueryInformationJobObject: { args: ["u64", "i32", "ptr", "u32", "ptr"], returns: "i32" },
  TerminateJobObject: { args: ["u64", "u32"], returns: "i32" },
  OpenProcess: { args: ["u32", "i32", "u32"], returns: "u64" },
  CloseHandle: { args: ["u64"], returns: "i32" },
} as const;

let functions: ReturnType<typeof load> | undefined;

/** Loaded with the first child. */
function kernel(): ReturnType<typeof load> {
  functions ??= load();
  return functions;
}

function load() {
  return dlopen("kernel32.dll", FUNCTIONS).symbols;
}

/** JOBOBJECTINFOCLASS (winnt.h). */
const BASIC_PROCESS_ID_LIST = 3;
const EXTENDED_LIMITS = 9;

/** JOBOBJECT_EXTENDED_LIMIT_INFORMATION on 64 bits: how long it is, and where LimitFlags are in it. */
const EXTENDED_LIMITS_BYTES = 144;
const LIMIT_FLAGS_PLACE = 16;
const LIMIT_KILL_ON_JOB_CLOSE = 0x2000;

/** JOBOBJECT_BASIC_PROCESS_ID_LIST begins with two counts of 32 bits: how many there are, how many are listed. */
const ID_LIST_HEADER_WORDS = 1;
/** Who is beyond that is seen when others have ended. */
const MOST_PROCESS_IDS = 256;

/** Access rights of a process (winnt.h). */
const PROCESS_TERMINATE = 0x0001;
const PROCESS_SET_QUOTA = 0x0100;
