import { z } from "zod";
import { boolean, decimal, duration, integer, share } from "./scalars.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OPEN_TIME = { min: 10, max: DAY_MS };

/** `upstreams.*.circuitBreaker`: when an upstream that fails is no longer asked. */
export const circuitBreakerSchema = z
  .strictObject({
    consecutiveFailures: integer("Failures in a row that open it. 0 = this rule is off.", {
      min: 0,
      max: 1_000_000,
    }).prefault(3),
    errorRatio: share("Failed share of the window that opens it. 0% = this rule is off.").prefault("50%"),
    slowCallRatio: share(
      "Share of the window that took longer than slowCallDuration, which opens it too. 0% = this rule is off.",
    ).prefault("0%"),
    slowCallDuration: duration(
      "A request is slow when the first byte of its answer takes longer than this. Required with slowCallRatio.",
    ).optional(),
    minRequests: integer("The shares are not looked at below this many requests in the window.", {
      min: 1,
      max: 1_000_000,
    }).prefault(20),
    window: duration("Length of the window that the shares are of.", { min: 1_000, max: 600_000 }).prefault("10s"),
    openFor: duration("How long it stays open first; doubles with each probe that fails.", OPEN_TIME).prefault("30s"),
    maxOpenFor: duration("Longest open time. Absent = 5m, or openFor where that is longer.", OPEN_TIME).optional(),
    jitter: share("An open time is lengthened by up to this much, by lot.").prefault("10%"),
    halfOpenRequests: integer("Requests at once that try a half-open circuit.", { min: 1, max: 100 }).prefault(3),
    halfOpenSuccesses: integer("Successes among them that close it. Absent = halfOpenRequests.", {
      min: 1,
      max: 100,
    }).optional(),
    slowStart: duration(
      "After it closed, requests come back linearly over this time, where another arm can take the rest.",
      { min: 0, max: HOUR_MS },
    ).prefault("5s"),
    autoRecover: boolean("false: an open circuit stays open until it is reset by hand.").prefault(true),
  })
  .meta({
    description:
      "Circuit breaker of the upstream and of each of its endpoints. Absent = none; {} = one with every default.",
  });

/** `upstreams.*.outlierDetection`: takes out endpoints that do worse than the others. */
export const outlierDetectionSchema = z
  .strictObject({
    interval: duration("How often the endpoints are compared.", { min: 100, max: HOUR_MS }).prefault("10s"),
    minRequests: integer("Requests that an endpoint must have had in the interval.", {
      min: 1,
      max: 1_000_000,
    }).prefault(20),
    errorRatio: share("Failed share from which an endpoint may be an outlier at all.").prefault("20%"),
    deviations: decimal("Standard deviations below the mean success rate that make it one.", {
      min: 100,
      max: 10_000,
    }).prefault(1.9),
    ejectionTime: duration("First time out; grows with each one in a row.", OPEN_TIME).prefault("30s"),
    maxEjectionTime: duration(
      "Longest time out. Absent = 5m, or ejectionTime where that is longer.",
      OPEN_TIME,
    ).optional(),
    maxEjected: share("Most endpoints that are out at once, as a share of all; one always stays in.").prefault("50%"),
  })
  .meta({
    description: "Takes single endpoints out when they do worse than the others. Absent = none is taken out.",
  });
