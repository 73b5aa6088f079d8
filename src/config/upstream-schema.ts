import { z } from "zod";
import { circuitBreakerSchema, outlierDetectionSchema } from "./circuit-schema.ts";
import { healthSchema } from "./health-schema.ts";
import { IF_LIST, duration, integer, scalar, size } from "./scalars.ts";
import { endpoint, filePath, hostName } from "./texts.ts";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

/** How we speak to an upstream; both mean HTTP/1.1 in this version. */
export type Protocol = "http1" | "auto";

const MAX_TIMER_MS = 24 * 3_600_000;

const timeoutsSchema = z
  .strictObject({
    connect: duration("TCP and TLS handshake.").prefault("1s"),
    responseHead: duration("From the request sent to the first byte of the answer's head.").prefault("15s"),
    idle: duration("Longest silence of the upstream inside an answer.").prefault("60s"),
    request: duration(
      "From the end of the request to the head of its answer, every try included. It does not cut streams.",
      {
        min: 0,
        max: MAX_TIMER_MS,
      },
    ).prefault("30s"),
  })
  .meta({ description: "How long to wait for an upstream." })
  .prefault({});

const poolSchema = z
  .strictObject({
    minConnections: integer("Connections that are opened ahead of need and kept, all data threads together.", {
      min: 0,
      max: 10_000,
    }).prefault(0),
    maxConnections: integer("Most connections to all of its endpoints, all data threads together.", {
      min: 1,
      max: 100_000,
    }).prefault(256),
    maxPending: integer(
      "Most requests that wait for a connection, all data threads together; one more is answered 503.",
      { min: 0, max: 1_000_000 },
    ).prefault(1_024),
    acquireTimeout: duration("Longest wait for a connection; then the answer is 503.").prefault("1s"),
    idleTimeout: duration("An idle connection is closed after this long. Keep it below the upstream's own.").prefault(
      "4s",
    ),
    pipelining: integer(
      "Requests in flight on one connection, for idempotent requests without a body; native engine only. An answer that takes long holds up those behind it.",
      { min: 1, max: 64 },
    ).prefault(1),
    maxInFlight: integer(
      "Most requests under way and waiting, all data threads together; one more is answered 503. 0 = no limit of its own.",
      { min: 0, max: 1_000_000 },
    ).prefault(0),
  })
  .meta({ description: "Connections to an upstream." })
  .prefault({});

const tlsSchema = z
  .strictObject({
    ca: filePath("PEM file with the authorities to trust. Absent = the system's.").optional(),
    cert: filePath("PEM file with our client certificate; needs key.").optional(),
    key: filePath("PEM file with the key of our client certificate; needs cert.").optional(),
    serverName: hostName("Name to ask for and to find in the certificate. Absent = the endpoint's host.").optional(),
  })
  .meta({ description: "How to trust, and be trusted by, an https upstream." });

const upstreamSchema = z
  .strictObject({
    endpoints: z
      .array(endpoint("One address of it: http://host:port, https://host:port or http+unix:///path."))
      .min(1, IF_LIST)
      .max(256, IF_LIST)
      .meta({ description: "Its addresses; requests go to the one with the fewest in flight." }),
    protocol: scalar<Protocol>({
      title: "http1 | auto",
      description: "Protocol towards it. Both mean HTTP/1.1 in this version.",
      json: { enum: ["http1", "auto"] },
      read: readProtocol,
    }).prefault("auto"),
    timeouts: timeoutsSchema,
    pool: poolSchema,
    tls: tlsSchema.optional(),
    health: healthSchema.optional(),
    circuitBreaker: circuitBreakerSchema.optional(),
    outlierDetection: outlierDetectionSchema.optional(),
    maxHeaderBytes: size("Largest accepted head of an answer; above it the client gets 502.", {
      min: 1_024,
      max: 1_048_576,
    }).prefault("64KiB"),
  })
  .meta({ description: "A service that we call." });

/** `upstreams`: name → service. */
export const upstreamsSchema = z
  .record(z.string(), upstreamSchema)
  .meta({ description: "The services that routes send requests to, by name.", minProperties: 1 });

function readProtocol(value: unknown): Parsed<Protocol> {
  if (value === "http1" || value === "auto") return parsed(value);
  if (value === "http2")
    return refused("is not available in this version (0.1) yet; use http1 or auto, or remove the line");
  return refused("is none of http1, auto");
}
