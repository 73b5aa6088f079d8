import { bucketOfKey } from "../../src/model/split.ts";

/** The version that served an answer, as its header said; null when there was none. */
export type Version = "v1" | "v2" | null;

/** What became of one request of a synthetic user. */
export interface Answer {
  /** 0 … users − 1. */
  readonly user: number;
  /** 0 when the connection broke. */
  readonly status: number;
  readonly servedBy: Version;
  /** The sample service says that it answers wrongly on purpose. */
  readonly planted: boolean;
  readonly latencyMs: number;
  /** The tally's `turn` when the request was sent. */
  readonly turn: number;
}

/**
 * Raising: a user who goes from v2 to v1 moved back. Lowering: that is the point. Outage: nobody moves; v1 answers in v2's
 * place, and who was served by it is served by v2 again later.
 */
export type Direction = "raise" | "lower" | "outage";

/** A stretch of the story with one share in force. */
export interface Phase {
  readonly title: string;
  /** What the candidate should have: 0 … 1 000 000. */
  readonly sharePpm: number;
  readonly direction: Direction;
}

/** What a phase came to. */
export interface PhaseResult {
  readonly phase: Phase;
  readonly seconds: number;
  readonly v1: number;
  readonly v2: number;
  readonly usersOnV2: number;
  /** Users whom v2 serves since the change that led to this phase, and whom it serves no more. */
  readonly toV2: number;
  readonly toV1: number;
  readonly failed: number;
  readonly planted: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Counts over the whole demo. `failed`, `movedBack` and `wrongArm` must stay 0. */
export interface Totals {
  readonly answers: number;
  readonly v1: number;
  readonly v2: number;
  /** Answers other than 200, and broken connections. */
  readonly failed: number;
  /** Wrong answers with status 200. */
  readonly planted: number;
  /** Moves from v1 to v2. */
  readonly moved: number;
  /** Moves from v2 to v1 while the share only rose. */
  readonly movedBack: number;
  /** Answers whose arm could be checked against the user's bucket. */
  readonly checked: number;
  readonly wrongArm: number;
}

/** A phase that goes on for long is judged by its last latencies. */
const MOST_LATENCIES = 4_000;

/** The name under which a synthetic user calls; its sticky key. */
export function userName(user: number): string {
  return `user-${String(user).padStart(3, "0")}`;
}

/**
 * Counts answers and judges them: did the request fail, did the user move the wrong way, is the arm the one that the
 * public bucket formula gives? Only requests that began and ended under one share can be asked the last question, so
 * the story says when a change begins (`change`) and when it is done (`begin`).
 */
export class Tally {
  /** Grows with every change; goes into each answer. */
  turn = 0;
  readonly users: number;
  readonly #salt: string;
  readonly #arms: Version[];
  readonly #totals = {
    answers: 0,
    v1: 0,
    v2: 0,
    failed: 0,
    planted: 0,
    moved: 0,
    movedBack: 0,
    checked: 0,
    wrongArm: 0,
  };
  #direction: Direction = "raise";
  /** Users who changed sides since the last change began. */
  #moves = { toV1: 0, toV2: 0 };
  #current: Current | null = null;

  constructor(users: number, salt: string) {
    this.users = users;
    this.#salt = salt;
    this.#arms = Array.from({ length: users }, () => null);
  }

  get totals(): Totals {
    return { ...this.#totals };
  }

  /** How many users the formula puts below a share. */
  usersBelow(sharePpm: number): number {
    return this.#arms.filter((_, user) => this.#bucketOf(user) < sharePpm).length;
  }

  /** A change of the share is being made, in this direction; from here to `begin` either arm is right. */
  change(direction: Direction): void {
    this.turn++;
    this.#direction = direction;
    this.#moves = { toV1: 0, toV2: 0 };
    this.#current = null;
  }

  /** The change is made and holds. */
  begin(phase: Phase, nowMs: number): void {
    this.turn++;
    this.#direction = phase.direction;
    this.#current = newCurrent(phase, nowMs, this.turn);
  }

  record(answer: Answer): void {
    const current = this.#current !== null && answer.turn === this.#current.turn ? this.#current : null;
    this.#count(answer);
    this.#follow(answer);
    if (current === null) return;
    current.heard.add(answer.user);
    current.latenciesMs.push(answer.latencyMs);
    if (current.latenciesMs.length > MOST_LATENCIES) current.latenciesMs.splice(0, MOST_LATENCIES / 2);
    if (answer.servedBy !== null) current[answer.servedBy]++;
    this.#checkArm(answer, current.phase);
  }

  /** True when every user had an answer in the present phase. */
  get everybodyHeard(): boolean {
    return this.#current !== null && this.#current.heard.size === this.users;
  }

  /** The present phase so far; null while a change is being made. */
  result(nowMs: number): PhaseResult | null {
    const current = this.#current;
    if (current === null) return null;
    const sorted = current.latenciesMs.toSorted((a, b) => a - b);
    const { phase, v1, v2, failed, planted } = current;
    return {
      phase,
      seconds: (nowMs - current.beganMs) / 1000,
      v1,
      v2,
      usersOnV2: this.usersOnV2,
      ...this.#moves,
      failed,
      planted,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
    };
  }

  /** Users whose last answer came from v2. */
  get usersOnV2(): number {
    return this.#arms.filter((arm) => arm === "v2").length;
  }

  #count(answer: Answer): void {
    const totals = this.#totals;
    totals.answers++;
    if (answer.servedBy !== null) totals[answer.servedBy]++;
    const kind = answer.status !== 200 ? "failed" : answer.planted ? "planted" : null;
    if (kind === null) return;
    totals[kind]++;
    if (this.#current !== null) this.#current[kind]++;
  }

  #follow({ user, servedBy }: Answer): void {
    const before = this.#arms[user] ?? null;
    if (servedBy === null || servedBy === before) return;
    this.#arms[user] = servedBy;
    if (before === null) return;
    this.#moves[servedBy === "v2" ? "toV2" : "toV1"]++;
    if (this.#direction === "outage") return;
    if (servedBy === "v2") this.#totals.moved++;
    else if (this.#direction === "raise") this.#totals.movedBack++;
  }

  #checkArm(answer: Answer, { sharePpm, direction }: Phase): void {
    if (answer.servedBy === null) return;
    this.#totals.checked++;
    const right: Version = direction !== "outage" && this.#bucketOf(answer.user) < sharePpm ? "v2" : "v1";
    if (answer.servedBy !== right) this.#totals.wrongArm++;
  }

  #bucketOf(user: number): number {
    return bucketOfKey(this.#salt, userName(user));
  }
}

/** The value below which `part` of the sorted numbers lie; 0 of none. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

interface Current {
  readonly phase: Phase;
  readonly turn: number;
  readonly beganMs: number;
  readonly heard: Set<number>;
  readonly latenciesMs: number[];
  v1: number;
  v2: number;
  failed: number;
  planted: number;
}

function newCurrent(phase: Phase, beganMs: number, turn: number): Current {
  const counts = { v1: 0, v2: 0, failed: 0, planted: 0 };
  return { phase, turn, beganMs, heard: new Set(), latenciesMs: [], ...counts };
}
