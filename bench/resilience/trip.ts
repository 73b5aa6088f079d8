import http from "node:http";
import type { AddressInfo } from "node:net";
import type { ResilienceRow } from "./report.ts";
import { endpointOf, withCrew, type Crew, type Stage } from "./stage.ts";

const FAILURES = 3;
const REQUESTS = 1_000;
/** In turn, so that both data threads are asked. */
const CONNECTIONS = 16;

/** How an upstream fails that takes its requests. */
type Manner = "503" | "reset";

interface Round {
  readonly requests: number;
  /** Requests that v2 received after its third failure. */
  readonly beyond: number;
  /** Answers other than 200. */
  readonly failed: number;
}

/** Requests that still reach v2 after the failure that opens its circuit. */
export async function measureTrip(stage: Stage): Promise<readonly ResilienceRow[]> {
  const rows: ResilienceRow[] = [];
  for (const manner of ["503", "reset"] as const) {
    const rounds: Round[] = [];
    for (let round = 1; round <= stage.options.rounds; round++) {
      const result = await tripOnce(manner, stage);
      rounds.push(result);
      stage.progress(`v2 fails with ${manner}, round ${round}: ${result.beyond} requests beyond the third`);
    }
    rows.push(rowOf(manner, rounds));
  }
  return rows;
}

function tripOnce(manner: Manner, stage: Stage): Promise<Round> {
  return withCrew(stage, async (crew) => {
    const v2 = await startFailing(crew, manner);
    const sidecar = await crew.sidecar({
      name: `v2 fails with ${manner}`,
      threads: 2,
      upstreams: {
        v1: { endpoints: [endpointOf(await crew.upstream())] },
        v2: { endpoints: [v2.url], circuitBreaker: { consecutiveFailures: FAILURES, openFor: "10m" } },
      },
      route: {
        split: { baseline: "v1", candidate: "v2", share: "100%", sticky: [{ header: "x-user-id" }] },
        fallback: ["arm"],
      },
    });
    const failed = await askInTurn(sidecar.url);
    if (v2.received() < FAILURES) throw new Error(`v2 was asked ${v2.received()} times only`);
    return { requests: REQUESTS, beyond: v2.received() - FAILURES, failed };
  });
}

/** An upstream here, that counts what it receives. */
async function startFailing(crew: Crew, manner: Manner): Promise<{ readonly url: string; received(): number }> {
  let received = 0;
  const server = http.createServer((request, response) => {
    received++;
    if (manner === "reset") request.socket.resetAndDestroy();
    else response.writeHead(503, { "content-length": "0" }).end();
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  crew.add({
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received: () => received };
}

/** One request after another; how many were not answered 200. */
async function askInTurn(url: string): Promise<number> {
  const agents = Array.from({ length: CONNECTIONS }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  let failed = 0;
  try {
    for (let request = 0; request < REQUESTS; request++) {
      const agent = agents[request % CONNECTIONS] as http.Agent;
      if ((await statusOf(url, agent, `user-${request}`)) !== 200) failed++;
    }
  } finally {
    for (const agent of agents) agent.destroy();
  }
  return failed;
}

function statusOf(url: string, agent: http.Agent, user: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const request = http.get(url, { agent, headers: { "x-user-id": user } }, (answer) => {
    answer.resume();
    answer.on("end", () => resolve(answer.statusCode ?? 0));
    answer.on("error", reject);
  });
  request.on("error", reject);
  return promise;
}

function rowOf(manner: Manner, rounds: readonly Round[]): ResilienceRow {
  const sum = (pick: (round: Round) => number): number => rounds.reduce((all, round) => all + pick(round), 0);
  const [beyond, failed] = [sum((round) => round.beyond), sum((round) => round.failed)];
  return {
    row: "trip",
    what: `requests sent to v2 after its third failure in a row, ${manner}, until half-open`,
    target: "0 beyond those already in flight",
    measured: `${beyond} in ${rounds.length} × ${REQUESTS - FAILURES} requests; ${failed} failed`,
    met: beyond === 0 && failed === 0,
    how: `counted by v2; one request after another over ${CONNECTIONS} connections and 2 data threads, share 100 %, fallback arm`,
    disturbed: [],
    rounds,
  };
}
