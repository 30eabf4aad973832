/** The public names of the package, and nothing else. */

export { blockOn, run, shutdown, type RunOptions } from "./run.ts";

export {
  BusyError,
  CancelledError,
  ClosedError,
  DeadlockError,
  InternalError,
  InvalidYieldError,
  OperationReusedError,
  ReactorError,
  SystemError,
  UnexpectedEndError,
  UnhandledTaskError,
  UnsupportedError,
} from "./core/errors.ts";
export { Interest, Readiness } from "./core/interest.ts";
export type { Operation, TaskBody } from "./core/operation.ts";
export { park, promise, type Resumption } from "./core/park.ts";
export { ready } from "./core/ready.ts";
export { sleep, sleepUntil } from "./core/sleep.ts";
export { cancel, join, spawn } from "./core/task-operations.ts";
export type { Task, TaskOptions, TaskState } from "./core/task.ts";
export { yieldNow } from "./core/yield-now.ts";

export type { Driver, DriverClient } from "./core/driver.ts";
export { Executor } from "./core/executor.ts";
export { Delivery, Source } from "./core/source.ts";
export type { SocketAddress, System } from "./core/system.ts";
export { Reactor } from "./reactor/reactor.ts";
export type { ReadyHandler, RegisterOptions, Registrator } from "./reactor/registrator.ts";

export { readable, writable } from "./io/fd.ts";
export {
  connect,
  type ConnectOptions,
  type KeepAliveOptions,
  listen,
  type ListenOptions,
  showAddress,
  TcpListener,
  TcpStream,
} from "./io/tcp.ts";
