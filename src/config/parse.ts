import type { Config } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { applyEnvironment } from "./environment.ts";
import type { EnvironmentResult } from "./environment.ts";
import { printedValue, textFromPath } from "./issue.ts";
import type { Issue } from "./issue.ts";
import { checkSchema } from "./schema-issues.ts";
import { shapeConfig } from "./shape-config.ts";
import { readSource } from "./source-tree.ts";
import type { SourceTree } from "./source-tree.ts";
import type { Environment } from "./variables.ts";
import { warningsFor } from "./warnings.ts";

/** One thing that is wrong, ready to print: `path: value message`. */
export interface Problem {
  /** Such as `routes[2].split.share`; `config` for the whole file; a variable's name when the environment is wrong. */
  readonly path: string;
  /** The offending value, quoted, cut and masked; empty when there is none. */
  readonly value: string;
  /** Continues the sentence: what is wrong, what is allowed, and where it stands (line or variable). */
  readonly message: string;
}

/** How a text is read. */
export interface ParseOptions {
  /** `json` refuses YAML that is not JSON; `yaml` and `auto` take both. */
  readonly format: "yaml" | "json" | "auto";
  readonly env: Environment;
}

/** A config with remarks on it, or everything that is wrong with the text. */
export type ParseResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Reads a config: text → variables → environment overlay → schema and cross checks. Reports every problem at once,
 * in the order of the file.
 */
export function parseConfig(text: string, options: ParseOptions): ParseResult {
  const source = readSource(text, options.format, options.env);
  if (source.tree === undefined)
    return { ok: false, problems: source.issues.map((issue) => problemOf(issue, null, null)) };
  const environment = applyEnvironment(source.tree, options.env, (name) => text.includes(`\${${name}`));
  const schema = checkSchema(source.tree);
  const unread = source.issues.filter(({ value }) => value !== undefined);
  const told = [...source.issues, ...environment.issues, ...(schema.ok ? [] : notToldYet(schema.issues, unread))];
  const issues = [...told, ...notToldYet(crossCheck(source.tree), told)];
  if (!schema.ok || issues.length > 0) return { ok: false, problems: problemsOf(issues, source, environment) };
  const config = shapeConfig(schema.file, source.tree);
  return { ok: true, config, warnings: [...environment.warnings, ...warningsFor(config)] };
}

/** One place is told once: what the schema says of it comes first. */
function notToldYet(found: readonly Issue[], told: readonly Issue[]): Issue[] {
  const places = new Set(told.map((issue) => textFromPath(issue.path)));
  return found.filter((issue) => !places.has(textFromPath(issue.path)));
}

function problemsOf(issues: readonly Issue[], source: SourceTree, environment: EnvironmentResult): Problem[] {
  const placed = issues.map((issue) => ({
    issue,
    line: source.lineOf(issue.path),
    origin: environment.originOf(issue.path),
  }));
  placed.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return placed.map(({ issue, line, origin }) => problemOf(issue, line, origin));
}

function problemOf(issue: Issue, line: number | null, origin: string | null): Problem {
  const where = origin !== null ? ` (from ${origin})` : line !== null ? ` (line ${line})` : "";
  return {
    path: textFromPath(issue.path),
    value: printedValue(issue.path, issue.value),
    message: issue.message + where,
  };
}
