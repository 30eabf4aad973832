/** TCP: servers, clients and their connections. */

export { connect, type ConnectOptions } from "./tcp-connect.ts";
export { listen, type ListenOptions, TcpListener } from "./tcp-listener.ts";
export { type KeepAliveOptions, showAddress, TcpStream } from "./tcp-stream.ts";
