/**
 * An open-loop load: requests leave on a schedule, whether or not earlier ones were answered, and the time of each
 * counts from when it was due. Raw sockets, so that one core carries some 40 000 requests a second of it. Argument: a
 * `PacedSpec` as JSON; prints a `PacedResult` as JSON.
 */
import net from "node:net";
import type { PacedResult, PacedSpec } from "./paced.ts";

/** One connection; it carries one request at a time. */
interface Lane {
  readonly socket: net.Socket;
  /** When its request was due; NaN = it has none. */
  dueMs: number;
  /** How long after it could have left it left. */
  lateMs: number;
  /** When it had its last answer. */
  freeMs: number;
  /** Beginning of an answer that is not all there; latin1. */
  unread: string;
}

const USERS = 1_000;
/** The upstream on the same core may take this long from us at a time; what takes longer is a stranger. */
const STALL_MS = 1;
/** Answers that come this long after the last request was due count as failed. */
const LAST_ANSWER_MS = 2_000;

const spec = JSON.parse(process.argv[2] ?? "") as PacedSpec;
const { hostname, port, host } = new URL(spec.url);
const texts = Array.from(
  { length: USERS },
  (_, user) => `GET / HTTP/1.1\r\nHost: ${host}\r\nx-user-id: user-${user}\r\n\r\n`,
);
const leadCount = Math.round(spec.leadSeconds * spec.perSecond);
const total = leadCount + Math.round(spec.seconds * spec.perSecond);
const stepMs = 1_000 / spec.perSecond;
const goodStart = `HTTP/1.1 ${spec.status ?? 200} `;

const timesMs = new Float64Array(total - leadCount);
const lateMs = new Float64Array(total - leadCount);
const free: Lane[] = [];
let sent = 0;
let answered = 0;
let failed = 0;
let startMs = 0;
let lastTurnMs = 0;
let stalledMs = 0;

// All sockets read into one buffer: what is in it is used before the next read.
const shared = Buffer.allocUnsafe(65_536);
const lanes = await Promise.all(Array.from({ length: spec.connections }, () => openLane()));
free.push(...lanes);
startMs = performance.now() + 5;
setImmediate(turn);

function openLane(): Promise<Lane> {
  const { promise, resolve, reject } = Promise.withResolvers<Lane>();
  const onread = { buffer: shared, callback: (count: number) => onBytes(lane, count) };
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true, onread }, () => resolve(lane));
  const lane: Lane = { socket, dueMs: NaN, lateMs: 0, freeMs: 0, unread: "" };
  socket.on("error", reject);
  socket.on("close", () => {
    if (!Number.isNaN(lane.dueMs)) failed++;
  });
  return promise;
}

/** Sends what is due and comes again: it never sleeps, because timers are a millisecond late. */
function turn(): void {
  const nowMs = performance.now();
  if (nowMs - lastTurnMs > STALL_MS && sent > leadCount) stalledMs += nowMs - lastTurnMs;
  lastTurnMs = nowMs;
  sendDue(nowMs);
  const over = answered + failed >= total || performance.now() > startMs + total * stepMs + LAST_ANSWER_MS;
  if (over) finish();
  else setImmediate(turn);
}

function sendDue(nowMs: number): void {
  while (sent < total && free.length > 0) {
    const dueMs = startMs + sent * stepMs;
    if (dueMs > nowMs) return;
    const lane = free.shift() as Lane;
    lane.dueMs = dueMs;
    lane.socket.write(texts[sent % USERS] as string, "latin1");
    lane.lateMs = performance.now() - Math.max(dueMs, lane.freeMs);
    sent++;
  }
}

function onBytes(lane: Lane, count: number): boolean {
  const text = lane.unread + shared.toString("latin1", 0, count);
  const wanted = answerLength(text);
  lane.unread = text;
  if (text.length < wanted) return true;
  if (text.length > wanted || !text.startsWith(goodStart)) failed++;
  else noteAnswer(lane, performance.now());
  lane.unread = "";
  lane.dueMs = NaN;
  free.push(lane);
  sendDue(lane.freeMs);
  return true;
}

function noteAnswer(lane: Lane, nowMs: number): void {
  const index = Math.round((lane.dueMs - startMs) / stepMs) - leadCount;
  if (index >= 0) {
    timesMs[index] = nowMs - lane.dueMs;
    // The answer may have lain there since we last looked.
    lateMs[index] = lane.lateMs + nowMs - lastTurnMs;
  }
  lane.freeMs = nowMs;
  answered++;
}

/** Length of the whole answer that begins so; Infinity when its head is not all there. */
function answerLength(text: string): number {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return Infinity;
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(text)?.[1];
  // Without a length the answer would end with the connection, and no proxy here does that.
  return length === undefined ? 0 : end + 4 + Number(length);
}

function finish(): void {
  const seconds = (performance.now() - startMs) / 1_000;
  timesMs.sort();
  lateMs.sort();
  const at = (sorted: Float64Array, quantile: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? NaN;
  const result: PacedResult = {
    perSecond: answered / seconds,
    failed: total - answered,
    p50Ms: at(timesMs, 0.5),
    p99Ms: at(timesMs, 0.99),
    p999Ms: at(timesMs, 0.999),
    lateP99Ms: at(lateMs, 0.99),
    stalledShare: stalledMs / (spec.seconds * 1_000),
  };
  process.stdout.write(JSON.stringify(result), () => process.exit());
}
