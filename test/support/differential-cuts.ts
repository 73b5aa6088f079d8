import assert from "node:assert/strict";
import { DifferentialClient } from "./differential-client.ts";
import { echoing, playAnswer, type AnswerScript, type Pair, type Side } from "./differential.ts";
import { arrivedFrom, differenceOf, type Arrived, type Outcome } from "./outcome.ts";
import type { Handler, Then } from "./raw-upstream.ts";
import { until, untilQuiet } from "./until.ts";

/** How long nothing must happen before cases whose end nobody announces are over. */
const QUIET_MS = 40;
/** The same when all that is hoped for has come, and more would be one too many. */
const SHORT_QUIET_MS = 10;
/** How long both sidecars may take to come to what is compared with. */
const AGREE_MS = 5_000;

/** What is sent through: a client's bytes, and an upstream's when it is those that are cut. */
export interface CutCase {
  readonly method: string;
  readonly request: string;
  /** null = the request is cut, and its answers are plain. */
  readonly answer: { readonly bytes: string; readonly ending: Then } | null;
  /** One engine may refuse what the other takes; each must only agree with itself. */
  readonly mayDiffer: boolean;
}

/**
 * Sends the bytes through both sidecars as many times as they can be cut in two, each cut with a client of its own. Fails
 * unless every client hears what the library engine says to the uncut bytes, and as often the same arrives upstream.
 */
export async function assertCutsSame({ reference, subject }: Pair, one: CutCase): Promise<void> {
  const length = (one.answer === null ? one.request : one.answer.bytes).length;
  const cuts = Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1);
  for (const side of [reference, subject]) {
    const model = one.mayDiffer ? side : reference;
    const [uncut] = (await runAll(model, one, [0])).outcomes as [Outcome];
    const { outcomes, arrived } = await runAll(side, one, cuts, uncut);
    for (const [i, outcome] of outcomes.entries()) {
      const difference = differenceOf({ ...uncut, arrived: [] }, { ...outcome, arrived: [] });
      const detail = (): string => JSON.stringify({ uncut, cut: { ...outcome, arrived: [] } }, null, 1);
      assert.equal(difference, null, `${side.engine}, cut at ${cuts[i]}: ${detail()}`);
    }
    // How often an answer that fails is asked for again depends on the connection that was free.
    if (one.answer === null) assertArrived(side, arrived, uncut.arrived, cuts.length);
  }
}

function assertArrived(side: Side, arrived: readonly Arrived[], expected: readonly Arrived[], times: number): void {
  const whole = (all: readonly Arrived[]): string[] =>
    all.filter(({ complete }) => complete).map((r) => JSON.stringify(r));
  const wanted = whole(expected).flatMap((text) => Array<string>(times).fill(text));
  assert.deepEqual(whole(arrived).sort(), wanted.sort(), `${side.engine}: requests at the upstream`);
}

interface Ran {
  readonly outcomes: readonly Outcome[];
  readonly arrived: readonly Arrived[];
}

/** One run for each cut, all at once; a cut at 0 is none. `expected`: waits for the clients to hear this. */
async function runAll(
  side: Side,
  one: CutCase,
  cuts: readonly number[],
  expected: Outcome | null = null,
): Promise<Ran> {
  const { sidecar, upstream } = side;
  const from = upstream.requests.length;
  upstream.onRequest = one.answer === null ? echoing : playing(side, one.answer, cuts);
  const clients = await Promise.all(cuts.map(() => DifferentialClient.connect(sidecar.port, [one.method])));
  const sent = one.request + (one.answer?.bytes ?? "");
  const outcomes = (): Outcome[] =>
    clients.map((client) => ({
      arrived: [],
      returned: client.returned(sent),
      ended: client.ended,
      malformed: client.reader.malformed,
    }));
  const arrived = (): Arrived[] => upstream.requests.slice(from).map((request) => arrivedFrom(request, sent));
  try {
    if (one.answer !== null) await Promise.all(clients.map((client) => client.send(one.request)));
    else await sendCut(side, clients, one.request, cuts);
    const agreed = (): boolean =>
      outcomes().every((outcome) => differenceOf({ ...(expected as Outcome), arrived: [] }, outcome) === null);
    // What is not so by then, the caller reports.
    if (expected !== null) await until(agreed, "the same outcome", { deadlineMs: AGREE_MS }).catch(() => {});
    await settle(side, clients, expected === null || expected.returned.length === 0 ? QUIET_MS : SHORT_QUIET_MS);
    const seen = arrived();
    return { outcomes: outcomes().map((outcome) => ({ ...outcome, arrived: seen })), arrived: seen };
  } finally {
    for (const client of clients) client.destroy();
    await side.barrier();
  }
}

async function sendCut(
  side: Side,
  clients: readonly DifferentialClient[],
  bytes: string,
  cuts: readonly number[],
): Promise<void> {
  await Promise.all(clients.map((client, i) => client.send(bytes.slice(0, cuts[i]))));
  await side.barrier();
  await Promise.all(clients.map((client, i) => client.send(bytes.slice(cuts[i]))));
}

/** Gives each request the answer with the next cut; one that is asked again begins over. */
function playing(side: Side, { bytes, ending }: NonNullable<CutCase["answer"]>, cuts: readonly number[]): Handler {
  let next = 0;
  return ({ connection }) => {
    const cut = cuts[next++ % cuts.length] as number;
    const script: AnswerScript = { pieces: cut === 0 ? [bytes] : [bytes.slice(0, cut), bytes.slice(cut)], ending };
    void playAnswer(side, connection, script);
  };
}

async function settle(side: Side, clients: readonly DifferentialClient[], quietMs: number): Promise<void> {
  await side.barrier();
  const said = (): number =>
    clients.reduce((sum, client) => sum + client.bytes + (client.ended ? 1 : 0), side.upstream.requests.length);
  if (!clients.every((client) => client.ended)) await untilQuiet(said, quietMs);
}
