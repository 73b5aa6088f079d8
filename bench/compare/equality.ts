import http from "node:http";
import type { Contestant, Subject, UpstreamPorts } from "../contestant.ts";

/** A request as it arrived at the recording upstream. */
interface Arrived {
  readonly arm: keyof UpstreamPorts;
  readonly url: string;
  readonly fields: http.IncomingHttpHeaders;
  readonly bodyBytes: number;
}

/** What came back from the proxy, and what had arrived behind it. */
interface Seen {
  readonly answer: http.IncomingHttpHeaders;
  readonly status: number;
  readonly arrived: Arrived;
}

interface RecordingUpstream {
  readonly ports: UpstreamPorts;
  /** Connections that it has taken. */
  connections(): number;
  close(): void;
}

const BODY_BYTES = 4_096;
const CALLERS = 500;
const AT_ONCE = 8;

/**
 * Asks a contestant in front of a recording upstream whether it does the same work as the others: forwarded fields,
 * request id both ways, bodies, a sticky split of about a tenth, kept connections. Returns what it does not do.
 */
export async function missingIn(contestant: Contestant, folder: string): Promise<readonly string[]> {
  const upstream = await startRecordingUpstream();
  try {
    const subject = await contestant.start({ upstream: upstream.ports, core: null, folder });
    try {
      return await missingOf(subject, upstream);
    } finally {
      await subject.stop();
    }
  } finally {
    upstream.close();
  }
}

async function missingOf(subject: Subject, upstream: RecordingUpstream): Promise<readonly string[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const missing: string[] = [];
  const need = (holds: boolean, what: string): void => {
    if (!holds) missing.push(what);
  };
  try {
    const get = await ask(subject.url, agent, "user-42", "GET");
    checkFields(get, new URL(subject.url), need);
    const post = await ask(subject.url, agent, "user-43", "POST");
    need(post.arrived.bodyBytes === BODY_BYTES, "bodies");
    await checkSplit(subject.url, agent, need);
    need(upstream.connections() <= 4 * AT_ONCE, "kept upstream connections");
  } finally {
    agent.destroy();
  }
  return missing;
}

type Need = (holds: boolean, what: string) => void;

function checkFields({ answer, status, arrived: { url, fields } }: Seen, asked: URL, need: Need): void {
  need(status === 200, "answers of 200");
  need(url === "/check?a=b", "the target as it came");
  need(fields.host === asked.host, "the caller's Host");
  need(fields["x-user-id"] === "user-42", "x-user-id");
  need(fields["x-forwarded-for"] === "127.0.0.1", "x-forwarded-for");
  need(fields["x-forwarded-proto"] === "http", "x-forwarded-proto");
  need(fields["x-forwarded-host"] === asked.host, "x-forwarded-host");
  need(fields["x-forwarded-port"] === asked.port, "x-forwarded-port");
  need(/^1\.1 \S+$/.test(fields.via ?? ""), "via");
  const id = fields["x-request-id"];
  need(typeof id === "string" && id.length >= 16, "x-request-id upstream");
  need(answer["x-request-id"] === id, "x-request-id downstream");
}

async function checkSplit(url: string, agent: http.Agent, need: Need): Promise<void> {
  const callers = Array.from({ length: CALLERS }, (_, index) => `user-${index}`);
  const first = await armsOf(url, agent, callers);
  const second = await armsOf(url, agent, callers.toReversed());
  need(isSame(first, second.toReversed()), "a sticky split");
  const share = first.filter((arm) => arm === "v2").length / CALLERS;
  // Three standard deviations of a tenth of 500 callers are four in a hundred.
  need(share > 0.06 && share < 0.14, `a split of 10 % (it is ${(100 * share).toFixed(1)} %)`);
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.every((each, index) => each === others[index]);
}

async function armsOf(url: string, agent: http.Agent, callers: readonly string[]): Promise<readonly string[]> {
  const arms: string[] = [];
  const asking = callers.entries();
  const askNext = async (): Promise<void> => {
    for (const [index, caller] of asking) arms[index] = (await ask(url, agent, caller, "GET")).arrived.arm;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askNext));
  return arms;
}

async function ask(url: string, agent: http.Agent, caller: string, method: "GET" | "POST"): Promise<Seen> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const length = method === "POST" ? { "content-length": BODY_BYTES } : {};
  const headers = { "x-user-id": caller, ...length };
  const request = http.request(new URL("/check?a=b", url), { agent, method, headers, timeout: 5_000 }, resolve);
  request.on("timeout", () => request.destroy(new Error("no answer in 5 s")));
  request.on("error", reject);
  request.end(method === "POST" ? Buffer.alloc(BODY_BYTES, "x") : undefined);
  const response = await promise;
  const text = Buffer.concat(await Array.fromAsync(response)).toString("utf8");
  const status = response.statusCode ?? 0;
  if (status !== 200) throw new Error(`it answered ${status}: ${text.slice(0, 200)}`);
  return { answer: response.headers, status, arrived: JSON.parse(text) as Arrived };
}

async function startRecordingUpstream(): Promise<RecordingUpstream> {
  let connections = 0;
  const servers = new Map<keyof UpstreamPorts, http.Server>();
  const start = async (arm: keyof UpstreamPorts): Promise<number> => {
    const server = http.createServer((request, response) => void echo(arm, request, response));
    servers.set(
      arm,
      server.on("connection", () => connections++),
    );
    const { promise, resolve } = Promise.withResolvers<number>();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
    return promise;
  };
  const ports = { v1: await start("v1"), v2: await start("v2") };
  const close = (): void => {
    for (const server of servers.values()) server.close().closeAllConnections();
  };
  return { ports, connections: () => connections, close };
}

async function echo(
  arm: keyof UpstreamPorts,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const bodyBytes = Buffer.concat(await Array.fromAsync(request)).length;
  const arrived: Arrived = { arm, url: request.url ?? "", fields: request.headers, bodyBytes };
  const text = JSON.stringify(arrived);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}
