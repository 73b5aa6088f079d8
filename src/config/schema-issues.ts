import type { z } from "zod";
import type { $ZodIssue } from "zod/v4/core";
import type { Issue } from "./issue.ts";
import { laterSection } from "./later.ts";
import { suggestion } from "./nearest.ts";
import { EMPTY_VALUE } from "./scalars.ts";
import { configSchema } from "./schema.ts";
import { knownKeys } from "./schema-walk.ts";
import type { Path } from "./schema-walk.ts";

/** A file that keeps the schema, or everything that is wrong with it. */
export type SchemaResult =
  | { readonly ok: true; readonly file: z.output<typeof configSchema> }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Checks a tree against the schema; each issue has the deepest path that it is about. */
export function checkSchema(tree: unknown): SchemaResult {
  const result = configSchema.safeParse(tree);
  if (result.success) return { ok: true, file: result.data };
  return { ok: false, issues: result.error.issues.flatMap((issue) => issuesOf(issue, [], tree)) };
}

/** The value at a path of a tree; undefined when there is none. */
export function valueAt(tree: unknown, path: Path): unknown {
  let at = tree;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

function issuesOf(issue: $ZodIssue, above: Path, tree: unknown): Issue[] {
  const path = [...above, ...issue.path.map((step) => (typeof step === "symbol" ? String(step) : step))];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey([...path, key]));
  const value = valueAt(tree, path);
  if (issue.code === "invalid_union") return branchOf(issue.errors).flatMap((inner) => issuesOf(inner, path, tree));
  return [{ path, value, message: messageOf(issue, value) }];
}

function unknownKey(path: Path): Issue {
  const key = String(path.at(-1));
  const later = laterSection(path);
  if (later !== null) return { path, value: undefined, message: later };
  const keys = knownKeys(configSchema, path.slice(0, -1));
  const message = `is not a known key${suggestion(key, keys)}; allowed: ${keys.join(", ")}`;
  return { path, value: undefined, message };
}

/** Of an either-or only the branch that fits the kind of value is told: the one that got into it, else the first. */
function branchOf(branches: readonly $ZodIssue[][]): readonly $ZodIssue[] {
  return branches.find((issues) => !issues.some(refusesWhole)) ?? branches[0] ?? [];
}

function refusesWhole(issue: $ZodIssue): boolean {
  return issue.path.length === 0 && issue.code !== "unrecognized_keys";
}

function messageOf(issue: $ZodIssue, value: unknown): string {
  if (issue.code === "custom") return issue.message;
  if (value === null) return EMPTY_VALUE;
  if (issue.code === "too_small") return `has too few entries; allowed: ${String(issue.minimum)} or more`;
  if (issue.code === "too_big") return `has too many entries; allowed: ${String(issue.maximum)} or fewer`;
  if (issue.code === "invalid_type" && value === undefined) return "is required";
  if (issue.code === "invalid_type") return issue.expected === "array" ? "must be a list" : "must be a map";
  return issue.message;
}
