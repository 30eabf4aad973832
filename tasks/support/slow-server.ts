/**
 * The Worker of the book's example: a server whose replies take as long as they are asked to, `GET
 * /delay/MILLISECONDS`.
 */

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  routes: {
    "/delay/:delayMs": async ({ params }) => {
      await Bun.sleep(Number(params.delayMs));
      return new Response(`a reply that took ${params.delayMs} ms`);
    },
  },
});

postMessage(server.port);
