/** A proxy with @fastify/http-proxy. Argument: `UpstreamPorts` as JSON; prints its port. */
import httpProxy from "@fastify/http-proxy";
import { fastify } from "fastify";
import { armOf, forwardedFields, newRequestId, printPort, upstream } from "./rules.ts";

const bases = { v1: `http://127.0.0.1:${upstream.v1}`, v2: `http://127.0.0.1:${upstream.v2}` };
const app = fastify({ logger: false, genReqId: newRequestId });
await app.register(httpProxy, {
  upstream: "",
  undici: { connections: 256 },
  disableRequestLogging: true,
  preHandler: (request, reply, done) => {
    reply.header("x-request-id", request.id);
    reply.header("x-upstream", armOf(request.headers));
    done();
  },
  replyOptions: {
    getUpstream: (request) => bases[armOf(request.headers)],
    rewriteRequestHeaders: (request) => forwardedFields(request.raw, request.id),
  },
});
await app.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
printPort(app.server.address());
