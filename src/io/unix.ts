/** Unix sockets: streams, datagrams, and descriptors that are passed over them. */

export { ReceivedDatagram, ReceivedDescriptors, ReceivedMessage, type ReceiveOptions } from "./received-descriptors.ts";
export { connectUnix, type ConnectUnixOptions } from "./unix-connect.ts";
export {
  bindUnixDatagram,
  type BindUnixDatagramOptions,
  openUnixDatagram,
  type OpenUnixDatagramOptions,
  type SendDatagramOptions,
  UnixDatagram,
  unixDatagramPair,
  type UnixDatagramPair,
} from "./unix-datagram.ts";
export type { UnixFileOptions } from "./unix-file.ts";
export { listenUnix, type ListenUnixOptions, UnixListener } from "./unix-listener.ts";
export { type AbstractName, showUnixName, type UnixName, type UnixPath } from "./unix-name.ts";
export { unixPair, type UnixPair, UnixStream } from "./unix-stream.ts";
