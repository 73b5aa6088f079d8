import { z } from "zod";
import { IF_LIST, boolean, choice, duration, integer, scalar, share, text } from "./scalars.ts";
import type { ScalarField } from "./scalars.ts";
import { authority, fieldValue, plainText, requestTarget } from "./texts.ts";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

const HOUR_MS = 3_600_000;
const INTERVAL = { min: 10, max: HOUR_MS };
const CHECKS = ["http", "grpc", "tcp"];
const EXACTLY_ONE = { oneOf: CHECKS.map((name) => ({ properties: { [name]: true }, required: [name] })) };

/** Inclusive range of statuses. */
export type StatusRange = readonly [number, number];

const httpSchema = z
  .strictObject({
    path: requestTarget("Path to ask for, with a query if need be."),
    method: choice("Method of the probe.", ["GET", "HEAD"]).prefault("GET"),
    host: authority("Host field of the probe. Absent = the endpoint's.").optional(),
    headers: z
      .record(z.string(), fieldValue("The value."))
      .meta({ description: "Header fields of the probe." })
      .prefault({}),
    expectStatus: z
      .array(statusRange("A status or a range of them."))
      .min(1, IF_LIST)
      .max(64, IF_LIST)
      .meta({ description: "Statuses that pass." })
      .prefault(["200-299"]),
    expectBody: plainText("Text that must be in the first 64 KiB of the body. Absent = any body.").optional(),
    expectHeaders: z
      .record(z.string(), fieldValue("The exact value."))
      .meta({ description: "Header fields that the answer must carry with exactly this value." })
      .prefault({}),
  })
  .meta({ description: "Ask over HTTP. One of http, grpc, tcp." });

const grpcSchema = z
  .strictObject({
    service: serviceName("Service to ask about. Empty = the server as a whole.").prefault(""),
    authority: authority("The :authority of the probe. Absent = the endpoint's.").optional(),
    watch: boolean("Use Watch where the server offers it, Check else.").prefault(true),
    unimplemented: choice("How a server without the health service counts.", ["healthy", "unhealthy"]).prefault(
      "unhealthy",
    ),
  })
  .meta({ description: "Ask by the gRPC health protocol (grpc.health.v1). One of http, grpc, tcp." });

/** `upstreams.*.health`: how its endpoints are asked whether they are well. */
export const healthSchema = z
  .strictObject({
    http: httpSchema.optional(),
    grpc: grpcSchema.optional(),
    tcp: z
      .strictObject({})
      .meta({ description: "Connect and close; nothing is sent. One of http, grpc, tcp." })
      .optional(),
    port: integer("Port to ask instead of the endpoint's own.", { min: 1, max: 65_535 }).optional(),
    interval: duration("Between two probes of an endpoint.", INTERVAL).prefault("5s"),
    unhealthyInterval: duration(
      "The same while an endpoint is unhealthy, not yet known, or has just failed. Absent = 1s, or interval where that is shorter.",
      INTERVAL,
    ).optional(),
    timeout: duration(
      "Longest time of a probe, connection included; not longer than interval. Absent = 1s, or interval where that is shorter.",
      { min: 1, max: HOUR_MS },
    ).optional(),
    jitter: share("Each wait is shortened or lengthened by up to this much, by lot.", {
      min: 0,
      max: 500_000,
    }).prefault("15%"),
    unhealthyThreshold: integer("Failures in a row that make an endpoint unhealthy.", { min: 1, max: 100 }).prefault(3),
    healthyThreshold: integer(
      "Passes in a row that make an unhealthy endpoint healthy; the first pass of one that is not yet known is enough.",
      { min: 1, max: 100 },
    ).prefault(2),
    believeExplicit: boolean('A plain "no", status 503 or NOT_SERVING, makes an endpoint unhealthy at once.').prefault(
      true,
    ),
    panic: choice(
      "A baseline without any healthy endpoint: refuse answers 503, send asks it all the same. A candidate is never asked then.",
      ["refuse", "send"],
    ).prefault("refuse"),
  })
  .meta({
    description:
      "Active health checks: exactly one of http, grpc, tcp. Absent = the endpoints count as healthy. A candidate gets nothing before its first pass.",
    ...EXACTLY_ONE,
  });

function statusRange(description: string): ScalarField<StatusRange> {
  return scalar({
    title: "status or range",
    description,
    json: {
      type: ["integer", "string"],
      minimum: 100,
      maximum: 599,
      pattern: String.raw`^([1-5]\d\d(-[1-5]\d\d)?)$|\$\{.+\}`,
    },
    read: readStatusRange,
  });
}

function readStatusRange(value: unknown): Parsed<StatusRange> {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(value));
  if (match === null) return refused("is no status; write one such as 204, or a range such as 200-299");
  const first = Number(match[1]);
  const last = Number(match[2] ?? first);
  return last < first ? refused("ends before it begins; write the lower status first") : parsed([first, last]);
}

/** Unlike other texts it may be empty. */
function serviceName(description: string): ScalarField<string> {
  const read = (name: string): Parsed<string> =>
    /^[\x21-\x7e]{0,256}$/.test(name) ? parsed(name) : refused("is not a service name; write package.Service");
  return text(description, { title: "service name", pattern: null, read });
}
