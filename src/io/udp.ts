/** UDP: sockets that send and receive datagrams, one by one or in batches. */

export { DatagramBatch, DatagramError, type DatagramBatchOptions } from "./udp-batch.ts";
export { bindUdp, type BindUdpOptions, connectUdp, type ConnectUdpOptions } from "./udp-bind.ts";
export type { UdpDestination } from "./udp-destination.ts";
export type { UdpBuffers } from "./udp-settings.ts";
export { type Datagram, UdpSocket } from "./udp-socket.ts";
