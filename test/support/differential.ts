import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Engine } from "../../src/model/snapshot.ts";
import { routesTo } from "./configs.ts";
import { DifferentialClient } from "./differential-client.ts";
import { arrivedFrom, differenceOf, type Arrived, type Outcome } from "./outcome.ts";
import { connectRaw, requestText, type RawClient } from "./raw-client.ts";
import {
  okText,
  startRawUpstream,
  type Handler,
  type RawUpstream,
  type Then,
  type UpstreamConnection,
} from "./raw-upstream.ts";
import type { Scope } from "./scope.ts";
import { merged, useSidecar, type Sidecar } from "./sidecar.ts";
import { until, untilQuiet } from "./until.ts";

/** The engine that is compared with the library engine. */
export const UNDER_TEST: Engine = "native";

/** How long nothing must happen before a case whose end nobody announces is over. */
const QUIET_MS = 30;
/** Characters of a message that a report shows. */
const MAX_LINE = 2_000;
/** How long two sidecars may take to come to the same. */
const AGREE_MS = 2_000;

/** What a client writes, piece by piece, and how many answers it hopes for. */
export interface ClientScript {
  readonly pieces: readonly string[];
  /** Methods of the requests in it. */
  readonly methods: readonly string[];
  /** Every request will be answered, or the connection end: there is no need to wait and see. */
  readonly sure: boolean;
}

/** What an upstream writes, piece by piece, when it has a request, and how it goes on. */
export interface AnswerScript {
  readonly pieces: readonly string[];
  readonly ending: Then;
  /** It is broken, and the engine under test may be the stricter one. */
  readonly broken?: boolean;
}

/** One sidecar with an upstream of its own, in front of which nobody else stands. */
export interface Side {
  readonly engine: Engine;
  readonly sidecar: Sidecar;
  readonly upstream: RawUpstream;
  /** Resolves when the sidecar has read what was written to it before: it answers another connection then. */
  barrier(): Promise<void>;
}

/** Two sidecars that should do the same. */
export interface Pair {
  readonly reference: Side;
  readonly subject: Side;
}

/**
 * Starts the library engine and the engine under test; both end with the scope. `over` is laid over both configs.
 * `pipelining`: how many requests may share an upstream connection of the engine under test, if it can do that.
 */
export async function startPair(scope: Scope, over: object = {}, pipelining = 1): Promise<Pair> {
  const shared = UNDER_TEST === "native" ? { upstreams: { root: { pool: { pipelining } } } } : {};
  const [reference, subject] = await Promise.all([
    startSide(scope, "library", over),
    startSide(scope, UNDER_TEST, merged(over, shared)),
  ]);
  return { reference, subject };
}

/** An upstream's handler that tells each request apart by its answer. */
export const echoing: Handler = ({ connection, message, method, target }) => {
  const text = okText(`${method} ${target} ${message.pieces.reduce((sum, piece) => sum + piece.length, 0)}`);
  connection.send(method === "HEAD" ? text.slice(0, text.indexOf("\r\n\r\n") + 4) : text);
};

/** Sends the same bytes through both sidecars; fails unless the same arrives and the same comes back. */
export async function assertSame(pair: Pair, client: ClientScript, answer: AnswerScript | null = null): Promise<void> {
  const sides = [pair.reference, pair.subject] as const;
  const runs = await Promise.all(sides.map((side) => begin(side, client, answer)));
  const [first, second] = runs as [Run, Run];
  try {
    for (const [i, piece] of client.pieces.entries()) {
      await Promise.all(runs.map((run) => run.client.send(piece)));
      if (i < client.pieces.length - 1) await Promise.all(sides.map((side) => side.barrier()));
    }
    await settle(pair, runs, client);
    const agreed = (): boolean => differenceOf(first.outcome(), second.outcome(), answer?.broken) === null;
    await until(agreed, "the same outcome", { deadlineMs: AGREE_MS }).catch(() => assert.fail(report(first, second)));
  } finally {
    for (const run of runs) run.client.destroy();
    await Promise.all(sides.map((side) => side.barrier()));
  }
}

/** Fails unless a plain request gets a plain answer: whatever a case before left behind does not touch it. */
export async function assertUnharmed(scope: Scope, { reference, subject }: Pair): Promise<void> {
  for (const { upstream } of [reference, subject]) {
    upstream.onHead = null;
    upstream.onRequest = ({ connection }) => void connection.send(okText("unharmed"));
  }
  await Promise.all(
    [reference, subject].map(async ({ engine, sidecar }) => {
      const client = await connectRaw(scope, sidecar.port);
      const answer = await client.exchange(requestText("GET", "/probe"));
      assert.deepEqual([answer.status, answer.text], [200, "unharmed"], `${engine}: the request after it`);
      client.destroy();
    }),
  );
}

interface Run {
  readonly side: Side;
  readonly client: DifferentialClient;
  outcome(): Outcome;
}

async function startSide(scope: Scope, engine: Engine, over: object): Promise<Side> {
  const upstream = await startRawUpstream(scope);
  const apart = await startRawUpstream(scope);
  const config = merged(routesTo({ "/barrier": apart.url, "/": upstream.url }), { engine });
  const sidecar = await useSidecar(scope, merged(config, over));
  let client: RawClient | null = null;
  let last = Promise.resolve();
  // Whoever asks while one is on its way shares the next.
  let queued: Promise<void> | null = null;
  const pass = async (): Promise<void> => {
    client ??= await connectRaw(scope, sidecar.port);
    await client.exchange(requestText("GET", "/barrier"));
  };
  const barrier = (): Promise<void> => {
    queued ??= last.then(() => {
      queued = null;
      last = pass();
      return last;
    });
    return queued;
  };
  return { engine, sidecar, upstream, barrier };
}

async function begin(side: Side, script: ClientScript, answer: AnswerScript | null): Promise<Run> {
  const { upstream } = side;
  const from = upstream.requests.length;
  upstream.onRequest = answer === null ? echoing : ({ connection }) => void playAnswer(side, connection, answer);
  const client = await DifferentialClient.connect(side.sidecar.port, script.methods);
  const sent = script.pieces.join("") + (answer?.pieces.join("") ?? "");
  const arrived = (): Arrived[] => upstream.requests.slice(from).map((request) => arrivedFrom(request, sent));
  return {
    side,
    client,
    outcome: () => ({
      // How often an answer that fails is asked for again depends on the connection that was free.
      arrived: answer === null ? arrived() : distinct(arrived()),
      returned: client.returned(sent),
      ended: client.ended,
      malformed: malformedOf(client, upstream),
    }),
  };
}

/** Writes an answer piece by piece, each when the sidecar has read the one before. */
export async function playAnswer(side: Side, connection: UpstreamConnection, script: AnswerScript): Promise<void> {
  const last = script.pieces.length - 1;
  for (const [i, piece] of script.pieces.entries()) {
    if (connection.socket.destroyed) return;
    if (i === last) connection.answer(piece, script.ending);
    else {
      connection.send(piece);
      await side.barrier();
    }
  }
}

function distinct(requests: readonly Arrived[]): readonly Arrived[] {
  return requests.filter((one, i) => requests.findIndex((other) => isDeepStrictEqual(one, other)) === i);
}

function malformedOf(client: DifferentialClient, upstream: RawUpstream): string | null {
  const { malformed, rest } = client.reader;
  if (malformed !== null) return `at the client: ${malformed}`;
  if (rest.length > 0 && client.ended && client.answers > 0) return `behind the answer: ${rest.toString("latin1")}`;
  const broken = upstream.connections.find(({ reader }) => reader.malformed !== null);
  return broken === undefined ? null : `at the upstream: ${broken.reader.malformed}`;
}

/** Waits for the end of a case on both sides. */
async function settle(pair: Pair, runs: readonly Run[], script: ClientScript): Promise<void> {
  const isOver = ({ client }: Run): boolean => client.ended || client.answers >= script.methods.length;
  if (script.sure) {
    await until(() => runs.every(isOver), "answers to all requests, or the end", {
      detail: () => report(...twoOf(runs)),
    });
    return;
  }
  await Promise.all([pair.reference.barrier(), pair.subject.barrier()]);
  const said = (): number =>
    runs.reduce(
      (sum, { client, side }) => sum + client.bytes + (client.ended ? 1 : 0) + side.upstream.requests.length,
      0,
    );
  if (!runs.every(isOver)) await untilQuiet(said, QUIET_MS);
}

function twoOf(runs: readonly Run[]): [Run, Run] {
  return [runs[0] as Run, runs[1] as Run];
}

function report(reference: Run, subject: Run): string {
  const [one, other] = [reference.outcome(), subject.outcome()];
  return [
    `the engines differ in ${differenceOf(one, other)}`,
    ...linesOf(reference.side.engine, one),
    ...linesOf(subject.side.engine, other),
  ].join("\n");
}

function linesOf(engine: Engine, { arrived, returned, ended, malformed }: Outcome): string[] {
  return [
    `${engine}: the connection ${ended ? "ended" : "is open"}${malformed === null ? "" : `, ${malformed}`}`,
    ...arrived.map((one) => `  arrived:  ${JSON.stringify(one).slice(0, MAX_LINE)}`),
    ...returned.map((one) => `  returned: ${JSON.stringify(one).slice(0, MAX_LINE)}`),
  ];
}
