import { z } from "zod";
import { RETRY_CONDITIONS } from "../base/cells.ts";
import type { RetryCondition } from "../base/cells.ts";
import { IF_LIST, boolean, choice, decimal, duration, integer, share, size } from "./scalars.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Envoy's word for "the statuses that are listed"; here the list itself says it, the word is taken and passed over. */
export const LISTED_STATUSES = "retriable-status-codes";

/** What a retry is for unless the route says otherwise: nothing of the request was processed. */
const DEFAULT_RETRY_ON = ["connect-failure", "refused-stream"] as const satisfies readonly RetryCondition[];

const CONDITION_WORDS = [...RETRY_CONDITIONS, LISTED_STATUSES] as const;

/** A list of conditions, in Envoy's words. */
export function conditionsSchema(description: string, fallback: readonly RetryCondition[]) {
  return z
    .array(choice("A condition.", CONDITION_WORDS))
    .max(CONDITION_WORDS.length, IF_LIST)
    .meta({ description })
    .prefault([...fallback]);
}

/** A list of answers' statuses. */
export function statusesSchema(description: string) {
  return z
    .array(integer("A status.", { min: 400, max: 599 }))
    .max(64, IF_LIST)
    .meta({ description })
    .prefault([]);
}

/** `routes[].priority`: how much a route matters under overload. */
export const prioritySchema = choice(
  "Order in which routes are shed under overload: low first, then normal; high never.",
  ["low", "normal", "high"],
).prefault("normal");

/** `routes[].retry`: how failed tries are repeated. */
export const retrySchema = z
  .strictObject({
    attempts: integer("Tries in all, the first included.", { min: 1, max: 10 }).prefault(3),
    on: conditionsSchema(
      "What is tried again. All but the first two only where repeating is safe: idempotent methods, or idempotencyKey.",
      DEFAULT_RETRY_ON,
    ),
    statuses: statusesSchema("Statuses that are tried again, besides."),
    perTryTimeout: duration(
      "From the start of a try, or the end of the request if that is later, to the head of its answer.",
      { min: 0, max: HOUR_MS },
    ).prefault("0s"),
    backoff: z
      .strictObject({
        initial: duration("Before the second try: a wait between nothing and this, by lot.", {
          min: 1,
          max: MINUTE_MS,
        }).prefault("25ms"),
        max: duration("Longest of these waits. Absent = ten times initial.", { min: 1, max: HOUR_MS }).optional(),
        multiplier: decimal("How the wait grows with each further try.", { min: 1_000, max: 10_000 }).prefault(2),
      })
      .meta({ description: "Waits between tries: exponential, with full jitter." })
      .prefault({}),
    budget: share(
      "Retries under way may be this share of the requests under way on the route; three always may.",
    ).prefault("20%"),
    maxRetryAfter: duration("An answer whose Retry-After is longer than this is not tried again.", {
      min: 0,
      max: HOUR_MS,
    }).prefault("10s"),
    maxBodyBytes: size("Request body that is kept for another try; a longer one is not repeated.", {
      min: 0,
      max: 16 * 1_048_576,
    }).prefault("64KiB"),
    idempotencyKey: boolean(
      "Also repeat a request with another method that may have been processed, when it has an Idempotency-Key field.",
    ).prefault(false),
  })
  .meta({
    description: "How failed tries are repeated, on the same arm. Absent = only one that met a stale connection is.",
  });

/** `routes[].readPreference`: whom reads are asked of. */
export const readPreferenceSchema = choice(
  "split: the arm that the split says. fastest: safe requests without a body go to both arms at once, the first good answer wins.",
  ["split", "fastest"],
).prefault("split");

/** `routes[].hedge`: a second request beside one that takes long. */
export const hedgeSchema = z
  .strictObject({
    delay: duration("How long the first has before the second is sent.", { min: 0, max: MINUTE_MS }, "at once"),
    to: choice("same: the same upstream, another endpoint if it has one. other: the other arm.", [
      "same",
      "other",
    ]).prefault("same"),
  })
  .meta({
    description: "A second request beside one that takes long, for safe methods without a body. Absent = none.",
  });
