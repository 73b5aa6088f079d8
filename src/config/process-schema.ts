import { z } from "zod";
import { IF_LIST, choice, duration, integer, scalar, share, size } from "./scalars.ts";
import { address, cidr, filePath, token } from "./texts.ts";
import { parsed, refused, shareFromText } from "./units.ts";
import type { Parsed } from "./units.ts";
import type { AccessLogSpec } from "../model/snapshot.ts";

/** Data threads as configured: none of their own, or this many; 0 = one per processor. */
export type ThreadsSetting = "inline" | number;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Most listening addresses. */
export const MAX_LISTENERS = 64;

/** `listen`: where clients connect. */
export const listenSchema = z
  .array(
    z
      .strictObject({
        address: address("Where to listen. Port 0 lets the system choose; the ready line prints the real port."),
        tls: z
          .strictObject({
            cert: filePath("PEM file with the certificate chain."),
            key: filePath("PEM file with the private key."),
            clientCa: filePath(
              "PEM file with the authorities of client certificates; given = a client must show one.",
            ).optional(),
          })
          .meta({ description: "Serve TLS on this address. Absent = plain text." })
          .optional(),
      })
      .meta({ description: "One listening address." }),
  )
  .min(1, IF_LIST)
  .max(MAX_LISTENERS, IF_LIST)
  .meta({ description: "Where clients connect: one or more addresses." });

/** `engine`: who speaks HTTP/1. */
export const engineSchema = choice(
  "native: our own HTTP/1 engine, anything outside of its strict subset is handed to the library engine; library: node:http and undici for everything. A change needs a restart.",
  ["native", "library"],
).prefault("native");

/** `admin`: the control API. */
export const adminSchema = z
  .strictObject({
    address: address("Where the control API listens. Other than loopback needs a tokenFile."),
    tokenFile: filePath("File that holds the bearer token. Absent = no token is asked for.").optional(),
  })
  .meta({ description: "The control API. Absent = it is off." });

/** `metrics`: the scrape server. */
export const metricsSchema = z
  .strictObject({
    address: address("Where /metrics, /livez and /readyz listen."),
    bucketsPerDoubling: choice(
      "Latency histogram buckets per doubling of the time: more = finer and more series.",
      [1, 2, 4, 8],
    ).prefault(1),
  })
  .meta({ description: "The metrics and probes server. Absent = it is off." });

/** `runtime`: threads, files and the end of the process. */
export const runtimeSchema = z
  .strictObject({
    threads: scalar<ThreadsSetting>({
      title: "auto | inline | 1..64",
      description: "Threads that carry traffic. auto = one per processor; inline = everything in one thread.",
      json: {
        anyOf: [
          { enum: ["auto", "inline"] },
          { type: "integer", minimum: 1, maximum: 64 },
          { type: "string", pattern: String.raw`^\d+$|\$\{.+\}` },
        ],
      },
      read: readThreads,
    }).prefault("auto"),
    stateDir: filePath(
      "Directory for what must outlive a restart: shares set by hand, kills, the audit trail. Absent = kept in memory only.",
    ).optional(),
    trustedProxies: z
      .array(cidr("An IP block or one address."))
      .max(1_024, IF_LIST)
      .meta({
        description:
          "Peers whose X-Forwarded-* headers are kept and appended to. From everyone else they are overwritten.",
      })
      .prefault([]),
    viaName: token(
      "Our name in the Via header. A request that carries it already goes in circles and is answered 508.",
    ).prefault("crossfade"),
    drain: z
      .strictObject({
        lameDuck: duration("After SIGTERM: still take connections for this long, while /readyz already says no.", {
          min: 0,
          max: HOUR_MS,
        }).prefault("5s"),
        deadline: duration(
          "After SIGTERM: end everything that still runs. Longer than lameDuck, shorter than the pod's grace period.",
          {
            min: 1,
            max: HOUR_MS,
          },
        ).prefault("25s"),
      })
      .meta({ description: "How the process ends." })
      .prefault({}),
  })
  .meta({ description: "The process itself. Changes of threads and stateDir need a restart." })
  .prefault({});

/** `log`: what is written to standard output. */
export const logSchema = z
  .strictObject({
    level: choice("Least important kind of event that is logged.", [
      "trace",
      "debug",
      "info",
      "warn",
      "error",
      "fatal",
      "silent",
    ]).prefault("info"),
    access: scalar<AccessLogSpec>({
      title: "none | errors | all | share",
      description:
        "Which requests get a line: none, errors (statuses from 400 on and broken ones), all, or a share such as 1% and every error.",
      json: { type: "string", pattern: String.raw`^(none|errors|all|\d{1,3}(\.\d{1,4})?%)$|\$\{.+\}` },
      read: readAccess,
    }).prefault("errors"),
  })
  .meta({ description: "Logs, one JSON object per line." })
  .prefault({});

/** `downstream`: limits towards clients. */
export const downstreamSchema = z
  .strictObject({
    headerTimeout: duration("A client must have sent a whole request head after this long.").prefault("10s"),
    bodyIdleTimeout: duration(
      "Longest silence of a client inside a request body, or while it should read an answer.",
    ).prefault("30s"),
    keepAliveTimeout: duration("An idle client connection is closed after this long.").prefault("75s"),
    maxHeaderBytes: size("Largest request head; above it the answer is 431.", { min: 1_024, max: 1_048_576 }).prefault(
      "16KiB",
    ),
    maxHeaders: integer("Most header lines in a request; above it the answer is 431.", { min: 8, max: 2_000 }).prefault(
      100,
    ),
    maxConnections: integer("Most client connections at once, per data thread.", { min: 1, max: 1_000_000 }).prefault(
      10_000,
    ),
    tunnelIdleTimeout: duration("Longest silence in both directions of an upgraded connection (WebSocket).", {
      min: 0,
      max: 30 * DAY_MS,
    }).prefault("0s"),
  })
  .meta({ description: "Limits towards clients." })
  .prefault({});

/** `overload`: when work is refused to keep the rest going. */
export const overloadSchema = z
  .strictObject({
    eventLoopLag: duration("How late the event loop of a data thread may be.", { min: 0, max: 60_000 }, "off").prefault(
      "200ms",
    ),
    heap: share("Share of a data thread's largest heap that may be used. 0% = off.").prefault("90%"),
    maxInFlight: integer("Most requests under way, all data threads together. 0 = no limit.", {
      min: 0,
      max: 10_000_000,
    }).prefault(0),
  })
  .meta({ description: "Limits beyond which work is refused in stages, routes of low priority first." })
  .prefault({});

function readThreads(value: unknown): Parsed<ThreadsSetting> {
  if (value === "auto") return parsed(0);
  if (value === "inline") return parsed("inline");
  const count = Number(value);
  const whole = /^\d+$/.test(String(value)) && count >= 1 && count <= 64;
  return whole ? parsed(count) : refused("is none of auto, inline, 1 to 64");
}

function readAccess(value: unknown): Parsed<AccessLogSpec> {
  if (value === "none" || value === "errors" || value === "all") return parsed({ mode: value, ppm: 0 });
  const words = "is none of none, errors, all, or a share such as 1%";
  if (typeof value !== "string" || !value.endsWith("%")) return refused(words);
  const share = shareFromText(value);
  return share.ok ? parsed({ mode: "share", ppm: share.value }) : share;
}
