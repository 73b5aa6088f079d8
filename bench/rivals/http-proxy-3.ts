/** A proxy with http-proxy-3 on node:http. Argument: `UpstreamPorts` as JSON; prints its port. */
import http from "node:http";
import { createProxyServer } from "http-proxy-3";
import { armOf, forwardedFields, newRequestId, printPort, upstream } from "./rules.ts";

const proxy = createProxyServer({ agent: new http.Agent({ keepAlive: true }) });
const targets = {
  v1: { host: "127.0.0.1", port: upstream.v1 },
  v2: { host: "127.0.0.1", port: upstream.v2 },
};

const server = http.createServer((request, response) => {
  const arm = armOf(request.headers);
  const requestId = newRequestId();
  response.setHeader("x-request-id", requestId);
  response.setHeader("x-upstream", arm);
  proxy.web(request, response, { target: targets[arm], headers: forwardedFields(request, requestId) }, () => {
    response.writeHead(502).end();
  });
});
server.listen(0, "127.0.0.1", 4096, () => printPort(server.address()));
