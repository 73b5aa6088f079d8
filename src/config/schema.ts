import { z } from "zod";
import {
  adminSchema,
  downstreamSchema,
  engineSchema,
  listenSchema,
  logSchema,
  metricsSchema,
  overloadSchema,
  runtimeSchema,
} from "./process-schema.ts";
import { routesSchema, segmentsSchema } from "./route-schema.ts";
import { plainText } from "./texts.ts";
import { upstreamsSchema } from "./upstream-schema.ts";

/**
 * The config file. Each leaf reads what is written and gives a checked value in ms, bytes or ppm; what ties two
 * places together (names, one-of rules) is checked in cross-checks.ts, so that it is reported together with these.
 */
export const configSchema = z.strictObject({
  $schema: plainText("Where an editor finds the JSON Schema; not read otherwise.", "path").optional(),
  listen: listenSchema,
  engine: engineSchema,
  admin: adminSchema.optional(),
  metrics: metricsSchema.optional(),
  runtime: runtimeSchema,
  log: logSchema,
  downstream: downstreamSchema,
  overload: overloadSchema,
  upstreams: upstreamsSchema,
  segments: segmentsSchema,
  routes: routesSchema,
});

/** What the schema gives back: every default filled in, names not yet resolved. */
export type CheckedFile = z.output<typeof configSchema>;

/** The JSON Schema of the written form, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: "input", target: "draft-7" });
  return { ...schema, title: "Crossfade config" };
}
