import { z } from "zod";
import type { RetryCondition } from "../base/cells.ts";
import { conditionsSchema, statusesSchema } from "./retry-schema.ts";
import { IF_LIST, boolean, duration, integer, scalar, size, text } from "./scalars.ts";
import { fieldValue, filePath, reference } from "./texts.ts";
import { parsed, refused } from "./units.ts";
import type { Parsed } from "./units.ts";

const DAY_MS = 86_400_000;
const GIB = 2 ** 30;
const LONGEST_BODY = 65_536;
const EXACTLY_ONE = { minProperties: 1, maxProperties: 1 };

/** When the fallbacks are asked, unless the route says otherwise. */
const DEFAULT_FALLBACK_ON = [
  "connect-failure",
  "refused-stream",
  "reset",
  "timeout",
  "5xx",
  "unavailable",
] as const satisfies readonly RetryCondition[];

const staleSchema = z
  .strictObject({
    maxAge: duration("Oldest answer that is given.", { min: 1_000, max: 30 * DAY_MS }).prefault("10m"),
    maxBytes: size("What is kept in all, all data threads together.", { min: 4_096, max: GIB }).prefault("16MiB"),
    maxEntryBytes: size("Largest answer that is kept. Absent = 256KiB, or maxBytes where that is smaller.", {
      min: 256,
      max: GIB,
    }).optional(),
    shared: boolean("One caller may be given what another caller got.").prefault(false),
  })
  .meta({ description: "The last good answer to the same request." });

const staticSchema = z
  .strictObject({
    status: integer("Its status.", { min: 200, max: 599 }).prefault(200),
    headers: z
      .record(z.string(), fieldValue("The value."))
      .meta({ description: "Its header fields. Without a content-type: JSON when the body is that, else plain text." })
      .prefault({}),
    body: text("Its body.", { title: "text", pattern: null, read: readBody }).optional(),
    bodyFile: filePath("File that holds its body, at most 1 MiB of UTF-8 text. Instead of body.").optional(),
  })
  .meta({ description: "An answer of our own. It always answers: the last step." });

const stepSchema = z
  .union([
    scalar<"arm">({
      title: "arm | map",
      description: "The other arm.",
      json: { anyOf: [{ enum: ["arm"] }, { type: "string", pattern: String.raw`\$\{.+\}` }] },
      read: readArm,
    }),
    z
      .strictObject({
        stale: staleSchema.optional(),
        static: staticSchema.optional(),
        upstream: reference("Another upstream, such as a small local service.", "upstream name").optional(),
      })
      .meta({ description: "Exactly one of stale, static, upstream.", ...EXACTLY_ONE }),
  ])
  .meta({ description: "arm: the other arm; or a map with exactly one of stale, static, upstream." });

/** `routes[].fallback`: who answers when the arm does not. */
export const fallbackSchema = z
  .array(stepSchema)
  .max(8, IF_LIST)
  .meta({
    description:
      "Who answers when the arm does not, in this order, as long as the client has seen nothing. Writes never go from the baseline to the candidate.",
  })
  .prefault([]);

const FALLBACK_ON = "Which failures and answers the fallbacks are for.";

/** `routes[].fallbackOn`: when the fallbacks are asked. */
export const fallbackOnSchema = z
  .union([
    conditionsSchema(FALLBACK_ON, DEFAULT_FALLBACK_ON),
    z.strictObject({
      on: conditionsSchema(FALLBACK_ON, DEFAULT_FALLBACK_ON),
      statuses: statusesSchema("Statuses that they are for, besides."),
    }),
  ])
  .meta({ title: "list | map", description: `${FALLBACK_ON} A list of conditions, or { on, statuses }.` })
  .prefault({});

function readArm(value: unknown): Parsed<"arm"> {
  if (value === "arm") return parsed(value);
  return refused("is none of arm, { stale: {} }, { static: { body } }, { upstream: NAME }");
}

function readBody(body: string): Parsed<string> {
  if (body.length <= LONGEST_BODY) return parsed(body);
  return refused(`has ${body.length} characters; at most ${LONGEST_BODY}, or put it in a file and write bodyFile`);
}
