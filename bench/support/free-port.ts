// A port for a server that cannot choose one by itself.

/** A port of this machine that nobody listens on at the moment. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop();
  return listener.port;
}
