import { fileURLToPath } from "node:url";
import { subjectOf, type Contestant } from "../contestant.ts";
import { startPinned } from "../processes.ts";

const COMMON =
  "one process, split by murmur3 of x-user-id, keep-alive upstream, forwarded headers, Via, request id (uuid) both ways; " +
  "no log, no metrics, no traceparent";

/** The proxies that are made with packages of npm, each a small script on node:http. */
export const NODE_RIVALS: readonly Contestant[] = [
  rival("http-proxy-3", `node:http, keep-alive agent, ${COMMON}`),
  rival("fast-proxy", `node:http, its undici 5 with 256 connections, ${COMMON}`),
  rival("@fastify/http-proxy", `fastify 5, its undici 7 with 256 connections, ${COMMON}`),
];

function rival(name: string, settings: string): Contestant {
  const script = fileURLToPath(new URL(`../rivals/${name.replace("@", "").replace("/", "-")}.ts`, import.meta.url));
  return {
    name,
    settings,
    program: null,
    start: async ({ upstream, core }) => {
      const args = [script, JSON.stringify(upstream)];
      const running = await startPinned(core, process.execPath, args, /^port (\d+)$/m);
      return subjectOf({ name, settings }, Number(running.match[1]), running);
    },
  };
}
