/** A proxy with fast-proxy on node:http, undici behind it. Argument: `UpstreamPorts` as JSON; prints its port. */
import http from "node:http";
import fastProxy from "fast-proxy";
import { armOf, forwardedFields, newRequestId, printPort, upstream } from "./rules.ts";

const proxies = { v1: proxyTo(upstream.v1), v2: proxyTo(upstream.v2) };

const server = http.createServer((request, response) => {
  const arm = armOf(request.headers);
  const requestId = newRequestId();
  response.setHeader("x-request-id", requestId);
  response.setHeader("x-upstream", arm);
  proxies[arm](request, response, request.url ?? "/", {
    rewriteRequestHeaders: () => forwardedFields(request, requestId),
  });
});
server.listen(0, "127.0.0.1", 4096, () => printPort(server.address()));

function proxyTo(port: number): ReturnType<typeof fastProxy>["proxy"] {
  return fastProxy({ base: `http://127.0.0.1:${port}`, undici: { connections: 256, pipelining: 1 } }).proxy;
}
