// A reverse proxy that shows the gateway below a path, as people put it behind nginx; and a cable that can be cut.
import http from "node:http";

/**
 * @param {string} target the gateway, with a slash at its end
 * @param {string} [prefix] such as "/tools/gleaner/"
 */
export async function startProxy(target, prefix = "/") {
  let cut = false;
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(prefix)) {
      response.writeHead(404).end();
      return;
    }
    const onward = http.request(new URL(request.url.slice(prefix.length), target), { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.on("connection", (socket) => {
    if (cut) return void socket.destroy();
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const dropAll = () => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    /** Breaks what is open and everything that comes, until it is mended. */
    cut() {
      cut = true;
      dropAll();
    },
    mend() {
      cut = false;
    },
    async close() {
      const closed = new Promise((done) => server.close(done));
      dropAll();
      await closed;
    },
  };
}
