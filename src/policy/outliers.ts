import { PPM } from "../model/split.ts";
import type { OutlierDetectionSpec } from "../model/snapshot.ts";

/**
 * Where an endpoint stands when the endpoints of its upstream are compared.
 *
 *   in         asked, and comparable
 *   returning  asked, but back for less than a window: what is in it says how the endpoint was before
 *   out        ejected
 *   unwell     not asked for another reason: its health is bad or not known
 */
export type EndpointPlace = "in" | "returning" | "out" | "unwell";

/** What the last window says of one endpoint. */
export interface EndpointEvidence {
  readonly place: EndpointPlace;
  readonly requests: number;
  readonly failures: number;
}

/** What came of a comparison. */
export interface Comparison {
  /** Endpoints that must go, by their index, worst first; the limits are kept. */
  readonly eject: readonly number[];
  /** Endpoints with enough requests that stand well beside the others. */
  readonly fine: readonly number[];
}

/**
 * Compares the endpoints of one upstream by how much fails, as Envoy's success rate outliers do, but in a way that works
 * from two endpoints on. For an endpoint with n requests of which the share q failed, let m be the median of the others'
 * failed shares, d the median of their distances from m times 1.4826 (which is the standard deviation, of what is spread
 * evenly), n' their requests, and p the failed share of all of them and this one together. It is an outlier when
 *
 *   q ≥ errorPpm   and   q ≥ 2 m   and   q > m + k √(d² + p (1 − p) (1/n + 1/n'))      k = deviationsMilli / 1000
 *
 * The last term under the root is what chance alone does to so few requests. Medians and not means, and of the others: one
 * of two stands out as clearly as one of ten, and a second bad one does not hide the first. Endpoints that are all bad, or
 * all alike, stay, and so they do where most are bad: that is the business of the circuits. Only endpoints with
 * `minRequests` are looked at. At most `maxEjectedPpm` of all endpoints are out at once, rounded down, and one that is asked
 * always stays.
 */
export function compareEndpoints(endpoints: readonly EndpointEvidence[], rules: OutlierDetectionSpec): Comparison {
  const seen = endpoints
    .map((endpoint, index) => scoreOf(endpoint, index))
    .filter((score) => isComparable(score, rules));
  const outliers = seen.filter((score) => isOutlier(score, seen, rules)).toSorted((a, b) => b.failed - a.failed);
  const eject = outliers.slice(0, ejectionsLeft(endpoints, rules)).map(({ index }) => index);
  const fine = seen.filter((score) => !outliers.includes(score)).map(({ index }) => index);
  return { eject, fine };
}

/** How long the `inARow`th ejection in a row lasts, milliseconds. */
export function ejectionTimeMs(inARow: number, { ejectionMs, maxEjectionMs }: OutlierDetectionSpec): number {
  return Math.min(maxEjectionMs, ejectionMs * inARow);
}

interface Score {
  readonly index: number;
  readonly place: EndpointPlace;
  readonly requests: number;
  readonly failures: number;
  /** Share of the requests, 0 to 1. */
  readonly failed: number;
}

function scoreOf({ place, requests, failures }: EndpointEvidence, index: number): Score {
  return { index, place, requests, failures, failed: requests === 0 ? 0 : failures / requests };
}

function isComparable({ place, requests }: Score, { minRequests }: OutlierDetectionSpec): boolean {
  return place === "in" && requests > 0 && requests >= minRequests;
}

function isOutlier(score: Score, seen: readonly Score[], { errorPpm, deviationsMilli }: OutlierDetectionSpec): boolean {
  const { failed, requests, failures } = score;
  const others = seen.filter((other) => other !== score);
  if (failures === 0 || others.length === 0 || failed * PPM < errorPpm) return false;
  const shares = others.map((other) => other.failed);
  const usual = median(shares);
  if (failed < 2 * usual) return false;
  const spread = DEVIATIONS_PER_MEDIAN * median(shares.map((share) => Math.abs(share - usual)));
  const othersRequests = sum(others, (other) => other.requests);
  const pooled = (failures + sum(others, (other) => other.failures)) / (requests + othersRequests);
  const chance = pooled * (1 - pooled) * (1 / requests + 1 / othersRequests);
  return failed > usual + (deviationsMilli / 1000) * Math.sqrt(spread ** 2 + chance);
}

/** Of a normal distribution: its standard deviation over the median distance from its median. */
const DEVIATIONS_PER_MEDIAN = 1.4826;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] as number;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return (lower + upper) / 2;
}

function ejectionsLeft(endpoints: readonly EndpointEvidence[], { maxEjectedPpm }: OutlierDetectionSpec): number {
  const out = endpoints.filter(({ place }) => place === "out").length;
  const asked = endpoints.filter(({ place }) => place === "in" || place === "returning").length;
  const most = Math.floor((endpoints.length * maxEjectedPpm) / PPM);
  return Math.max(0, Math.min(most - out, asked - 1));
}

function sum(scores: readonly Score[], of: (score: Score) => number): number {
  return scores.reduce((total, score) => total + of(score), 0);
}
