/** The public names of the package, and nothing else. */

export { type BlockOptions, blockOn, dumpTasks, instrument, run, type RunOptions, shutdown, taskTree } from "./run.ts";

export {
  BusyError,
  CancelledError,
  CleanupTimeoutError,
  ClosedError,
  DeadlockError,
  type TaskWait,
  InternalError,
  InvalidYieldError,
  LimitError,
  NestingError,
  OperationReusedError,
  ReactorError,
  SystemError,
  type SystemErrorFacts,
  TimeoutError,
  UnexpectedEndError,
  UnsupportedError,
} from "./core/errors.ts";
export { Interest, Readiness } from "./core/interest.ts";
export {
  Cluster,
  ClusterError,
  type ClusterOptions,
  type ClusterWorkerView,
  type Sharing,
  startCluster,
} from "./cluster.ts";
export { ClusterSeat, clusterWorker } from "./cluster-worker.ts";
export { handler, type HandlerOptions, type RequestTask } from "./handler.ts";
export { main, type MainOptions, SignalError } from "./main.ts";
export { type Acceptor, type Closable, type ConnectionTask, serve, type ServeOptions } from "./serve.ts";
export { toAsyncIterable, toNodeReadable, toNodeWritable, toReadableStream, toWritableStream } from "./to-host.ts";

export { now } from "./core/clock.ts";
export { taskPathOf } from "./core/error-trace.ts";
export type { InstrumentHooks } from "./core/instrument.ts";
export type { BodyWith, Operation, TaskBody } from "./core/operation.ts";
export { park, promise, type Resumption } from "./core/park.ts";
export { scope, type ScopeOptions } from "./core/scope-region.ts";
export type { Scope } from "./core/scope.ts";
export { shield } from "./core/shield.ts";
export { sleep, sleepUntil } from "./core/sleep.ts";
export { traceSpawns } from "./core/spawn-site.ts";
export { TaskLocal } from "./core/task-local.ts";
export { cancel, currentTask, join, spawn } from "./core/task-operations.ts";
export type { SpawnOptions, Task, TaskOptions, TaskState } from "./core/task.ts";
export type { TaskSnapshot } from "./core/task-tree.ts";
export { deadline, moveOnAfter, type TimeLimit, timeout } from "./core/time-limit.ts";
export { yieldNow } from "./core/yield-now.ts";

export { all, allSettled, type Settled } from "./flow/all.ts";
export { any } from "./flow/any.ts";
export { each, type EachSource, type Subscribable, type Subscription } from "./flow/each.ts";
export { interval } from "./flow/interval.ts";
export { map, type MapOptions } from "./flow/map.ts";
export { onCancel } from "./flow/on-cancel.ts";
export { race } from "./flow/race.ts";
export { exponential, retry, type RetryOptions } from "./flow/retry.ts";
export { select, type Selected } from "./flow/select.ts";
export { disposeOperation, type OperationDisposable, type Resource, use } from "./flow/use.ts";

export { abortSignal, withSignal } from "./host/abort-signal.ts";
export { call } from "./host/call.ts";
export { fromNodeReadable, type NodeReadableOptions, type NodeReader } from "./host/node-readable.ts";
export { fromNodeWritable, type NodeWritableOptions, type NodeWriter } from "./host/node-writable.ts";
export type { Emit, Producer, ProducerOptions } from "./host/producer.ts";
export { signal, type SignalNames, signals, type SignalSubscription } from "./host/signal.ts";
export type { ByteSource, ChunkSink } from "./host/source-and-sink.ts";
export {
  type PemData,
  tlsAccept,
  type TlsAcceptOptions,
  type TlsCertificate,
  tlsConnect,
  type TlsConnectOptions,
  type TlsOptions,
} from "./host/tls.ts";
export { TlsError } from "./host/tls-error.ts";
export { TlsStream } from "./host/tls-stream.ts";
export { fromReadableStream, type StreamReader } from "./host/web-readable.ts";
export { fromWritableStream, type StreamWriter } from "./host/web-writable.ts";

export {
  Broadcast,
  type BroadcastSubscription,
  type Overflow,
  OverflowError,
  type SubscribeOptions,
} from "./sync/broadcast.ts";
export { Channel, type ChannelOptions, type ChannelSubscription } from "./sync/channel.ts";
export { Condition } from "./sync/condition.ts";
export { Latch } from "./sync/latch.ts";
export { type Guard, type LockOptions, Mutex } from "./sync/mutex.ts";
export { Once } from "./sync/once.ts";
export { RwLock } from "./sync/rw-lock.ts";
export { Semaphore } from "./sync/semaphore.ts";

export type { Driver, DriverClient } from "./core/driver.ts";
export { Executor, type ExecutorOptions } from "./core/executor.ts";
export { Delivery, Source } from "./core/source.ts";
export type { SocketAddress, System } from "./core/system.ts";
export { type Feature, isSupported, type Platform } from "./native/platform.ts";
export { Reactor } from "./reactor/reactor.ts";
export type { ReadyHandler, RegisterOptions, Registrator } from "./reactor/registrator.ts";

export { BufferedReader, type BufferedReaderOptions, type Readable } from "./io/buffered-reader.ts";
export type { ByteReader, ByteStream, ByteWriter, Delimiter, LineReader, ReadLimit } from "./io/byte-stream.ts";
export { fdStream, FdStream, type FdStreamOptions } from "./io/fd-stream.ts";
export { DescriptorSource, notifyClosing, readable, ready, source, writable } from "./io/fd.ts";
export { lookup, type LookupOptions, type ResolvedAddress } from "./io/lookup.ts";
export {
  makeNamedPipe,
  type NamedPipeOptions,
  openNamedPipe,
  openPipe,
  type Pipe,
  type PipeReader,
  type PipeWriter,
} from "./io/pipe.ts";
export { openPty, Pty, type PtyOptions, TerminalDescriptor } from "./io/pty.ts";
export { type ModemLines, openSerial, type SerialOptions, SerialPort } from "./io/serial.ts";
export type { SerialFlowControl, SerialParity, SerialSettings, SettingChanges } from "./io/serial-settings.ts";
export { isTerminal, rawMode, Terminal, windowSize } from "./io/terminal.ts";
export type { WindowSize } from "./core/terminal-system.ts";
export { type ChildProcess, type ChildStream, type ProcessOptions, startProcess } from "./io/process.ts";
export { type ProcessResult, runProcess, type RunProcessOptions } from "./io/run-process.ts";
export type { ExitStatus } from "./core/process-system.ts";
export { watch, type Watcher, type WatchEvent, type WatchOptions } from "./io/watch.ts";
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
export {
  bindUdp,
  type BindUdpOptions,
  connectUdp,
  type ConnectUdpOptions,
  type Datagram,
  DatagramBatch,
  type DatagramBatchOptions,
  DatagramError,
  type UdpBuffers,
  type UdpDestination,
  UdpSocket,
} from "./io/udp.ts";
export type { Credentials } from "./core/unix-system.ts";
export {
  type AbstractName,
  bindUnixDatagram,
  type BindUnixDatagramOptions,
  connectUnix,
  type ConnectUnixOptions,
  listenUnix,
  type ListenUnixOptions,
  openUnixDatagram,
  type OpenUnixDatagramOptions,
  ReceivedDatagram,
  ReceivedDescriptors,
  ReceivedMessage,
  type ReceiveOptions,
  type SendDatagramOptions,
  showUnixName,
  UnixDatagram,
  unixDatagramPair,
  type UnixDatagramPair,
  type UnixFileOptions,
  UnixListener,
  type UnixName,
  unixPair,
  type UnixPair,
  type UnixPath,
  UnixStream,
} from "./io/unix.ts";
