import { z } from "zod";
import { fallbackOnSchema, fallbackSchema } from "./fallback-schema.ts";
import { hedgeSchema, prioritySchema, readPreferenceSchema, retrySchema } from "./retry-schema.ts";
import { IF_LIST, choice, duration, flag, scalar, share } from "./scalars.ts";
import {
  answerHeaderName,
  cookieName,
  fieldValue,
  headerName,
  hostPattern,
  method,
  plainText,
  reference,
  regex,
  requestPath,
} from "./texts.ts";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

/** Response header that says which upstream served, unless the route names another. */
export const DEFAULT_VERSION_HEADER = "x-crossfade-upstream";

const DAY_MS = 86_400_000;
const EXACTLY_ONE = { minProperties: 1, maxProperties: 1 };

/** `segments`: name → who belongs to it. */
export const segmentsSchema = z
  .record(
    z.string(),
    z
      .strictObject({
        keys: z
          .array(plainText("One sticky key, exactly as the caller sends it."))
          .max(10_000, IF_LIST)
          .meta({ description: "Callers by sticky key." })
          .prefault([]),
        headers: z
          .record(
            z.string(),
            z
              .array(fieldValue("One exact value."))
              .min(1, IF_LIST)
              .max(10_000, IF_LIST)
              .meta({ description: "Values of this header that belong to the segment." }),
          )
          .meta({ description: "Callers by header: any of the values of any of the headers." })
          .prefault({}),
      })
      .meta({ description: "A group of callers: the keys and the headers are alternatives." }),
  )
  .meta({ description: "Named groups of callers, for overrides." })
  .prefault({});

const matchSchema = z
  .strictObject({
    path: requestPath("The whole path. One of path, pathPrefix, pathRegex.").optional(),
    pathPrefix: requestPath("Beginning of the path. One of path, pathPrefix, pathRegex.").optional(),
    pathRegex: regex(
      "JavaScript regular expression over the path; anchor it with ^ and $. One of path, pathPrefix, pathRegex.",
    ).optional(),
    host: hostPattern(
      "Host of the request, without port; *.example.org takes every name below example.org.",
    ).optional(),
    methods: z
      .array(method("An HTTP method."))
      .min(1, IF_LIST)
      .max(64, IF_LIST)
      .meta({ description: "Methods; any of them. Absent = all." })
      .optional(),
    headers: z
      .record(z.string(), fieldValue("The exact value."))
      .meta({ description: "Headers that must be there with exactly this value." })
      .optional(),
  })
  .meta({ description: "Which requests: all conditions must hold. Absent = every request." })
  .prefault({});

const stickySchema = z
  .array(
    z
      .strictObject({
        header: headerName("Take the key from this request header.").optional(),
        cookie: cookieName("Take the key from this cookie.").optional(),
        query: plainText("Take the key from this query parameter.", "parameter name").optional(),
        clientIp: flag("Take the client's address as the key.").optional(),
      })
      .meta({ description: "One source: exactly one of header, cookie, query, clientIp.", ...EXACTLY_ONE }),
  )
  .max(16, IF_LIST)
  .meta({ description: "Where the sticky key comes from; the first that is present wins." })
  .prefault([]);

const onMissingKeySchema = z
  .union([
    scalar<"random" | "baseline">({
      title: "random | baseline | map",
      description: "random or baseline.",
      json: { anyOf: [{ enum: ["random", "baseline"] }, { type: "string", pattern: String.raw`\$\{.+\}` }] },
      read: readMissingKeyWord,
    }),
    z.strictObject({
      setCookie: z
        .strictObject({
          name: cookieName("Name of the cookie."),
          maxAge: duration("How long the browser keeps it.", { min: 1_000, max: 400 * DAY_MS }).prefault("30d"),
        })
        .meta({ description: "Give the caller a key in a cookie." }),
    }),
  ])
  .meta({
    description:
      "Callers without a key: by chance each time, to the baseline, or give them a cookie: { setCookie: … }.",
  })
  .prefault("random");

const overridesSchema = z
  .array(
    z
      .strictObject({
        header: z
          .record(z.string(), fieldValue("The exact value."))
          .meta({ description: "One header and its exact value.", ...EXACTLY_ONE })
          .optional(),
        cookie: z
          .record(z.string(), fieldValue("The exact value."))
          .meta({ description: "One cookie and its exact value.", ...EXACTLY_ONE })
          .optional(),
        segment: reference("Callers of this segment.", "segment name").optional(),
        to: choice("The arm they go to, whatever the share.", ["baseline", "candidate"]),
      })
      .meta({ description: "One rule: exactly one of header, cookie, segment." }),
  )
  .max(256, IF_LIST)
  .meta({ description: "Callers that go to an arm whatever the share; the first that matches wins." })
  .prefault([]);

const splitSchema = z
  .strictObject({
    baseline: reference("The old service (v1).", "upstream name"),
    candidate: reference("The new service (v2). Absent = everything goes to the baseline.", "upstream name").optional(),
    share: share("Share of callers that go to the candidate, in steps of 0.0001%.").prefault("0%"),
    hash: scalar<"murmur3">({
      title: "murmur3",
      description: "Hash of the sticky key. Only murmur3 in this version.",
      json: { enum: ["murmur3"] },
      read: readHash,
    }).prefault("murmur3"),
    sticky: stickySchema,
    onMissingKey: onMissingKeySchema,
    salt: plainText("Goes into the hash: another salt deals the callers anew. Absent = the route's name.").optional(),
    overrides: overridesSchema,
  })
  .meta({ description: "Who goes where." });

const routeSchema = z
  .strictObject({
    name: reference("Its name, in metrics, logs and the control API.", "name"),
    match: matchSchema,
    split: splitSchema,
    priority: prioritySchema,
    readPreference: readPreferenceSchema,
    hedge: hedgeSchema.optional(),
    retry: retrySchema.optional(),
    fallback: fallbackSchema,
    fallbackOn: fallbackOnSchema,
    headers: z
      .strictObject({
        version: answerHeaderName("Response header that says which upstream served.").prefault(DEFAULT_VERSION_HEADER),
      })
      .meta({ description: "Headers that the route adds to answers." })
      .prefault({}),
  })
  .meta({ description: "Which requests, and what to do with them." });

/** `routes`: the first that matches wins. */
export const routesSchema = z
  .array(routeSchema)
  .min(1, IF_LIST)
  .max(60_000, IF_LIST)
  .meta({ description: "The routes in order; the first that matches wins." });

function readMissingKeyWord(value: unknown): Parsed<"random" | "baseline"> {
  if (value === "random" || value === "baseline") return parsed(value);
  return refused("is none of random, baseline, { setCookie: { name, maxAge } }");
}

function readHash(value: unknown): Parsed<"murmur3"> {
  if (value === "murmur3") return parsed(value);
  const known = ["flagd", "unleash", "launchdarkly", "growthbook"].includes(String(value));
  return refused(
    known ? "is not available in this version (0.1) yet; use murmur3 or remove the line" : "is none of murmur3",
  );
}
