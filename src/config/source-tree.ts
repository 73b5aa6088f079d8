import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document, LineCounter, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import type { Issue } from "./issue.ts";
import { jsonFault } from "./json-fault.ts";
import type { Path } from "./schema-walk.ts";
import { withVariables } from "./variables.ts";
import type { Environment } from "./variables.ts";
import { yamlDocument } from "./yaml-document.ts";

/** Largest config text in characters. */
export const MAX_CONFIG_CHARS = 8 * 1_048_576;

/** What aliases and merges may add up to, in nodes: a few lines must not unfold to gigabytes. */
const MAX_EXPANDED_NODES = 100_000;
const MAX_DEPTH = 64;

/** A config text as plain data, and where each part of it stands. */
export interface SourceTree {
  /** Maps have no prototype; undefined when the text could not be read at all. */
  readonly tree: unknown;
  readonly issues: readonly Issue[];
  /** Line (from 1) of the deepest part of a path that is in the text; null when unknown. */
  readonly lineOf: (path: Path) => number | null;
}

/** Plain data under construction. */
type Tree = Record<string, unknown>;

interface Reading {
  readonly env: Environment;
  readonly anchors: Map<string, Node>;
  readonly open: Set<Node>;
  readonly issues: Issue[];
  aliasDepth: number;
  expanded: number;
  overflowed: boolean;
}

/**
 * Reads YAML or JSON. JSON is YAML too, so that one reader gives both their lines and finds keys that are given twice;
 * `json` only refuses first what is not JSON, `auto` and `yaml` do not.
 */
export function readSource(text: string, format: "yaml" | "json" | "auto", env: Environment): SourceTree {
  if (text.length > MAX_CONFIG_CHARS)
    return unreadable(`has ${text.length} characters; allowed: ${MAX_CONFIG_CHARS} or fewer`);
  const fault = format === "json" ? jsonFault(text) : null;
  if (fault !== null) return unreadable(fault);
  const yaml = yamlDocument(text);
  if (!yaml.ok) return unreadable(yaml.message);
  const { document, lines } = yaml;
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0)
    return { tree: undefined, issues: faults.map((fault) => yamlIssue(fault, lines)), lineOf: () => null };
  const reading: Reading = {
    env,
    anchors: new Map(),
    open: new Set(),
    issues: [],
    aliasDepth: 0,
    expanded: 0,
    overflowed: false,
  };
  const tree = valueOf(document.contents, [], reading);
  return { tree, issues: reading.issues, lineOf: (path) => lineAt(document, lines, path, reading.anchors) };
}

function unreadable(message: string): SourceTree {
  return { tree: undefined, issues: [{ path: [], value: undefined, message }], lineOf: () => null };
}

interface YamlFault {
  readonly code: string;
  readonly message: string;
  readonly pos: readonly [number, number];
}

function yamlIssue(fault: YamlFault, lines: LineCounter): Issue {
  const { line, col } = lines.linePos(fault.pos[0]);
  return { path: [], value: undefined, message: `${yamlMessage(fault)} (line ${line}, column ${col})` };
}

/** Messages that quote the text are replaced: the text may be a secret. */
function yamlMessage(fault: YamlFault): string {
  switch (fault.code) {
    case "RESOURCE_EXHAUSTION":
      return "is nested too deeply";
    case "UNEXPECTED_TOKEN":
      return "is not valid YAML: something unexpected stands here";
    case "BAD_DQ_ESCAPE":
      return "is not valid YAML: no such escape in double quotes";
    case "TAG_RESOLVE_FAILED":
      return "has a tag; tags are not allowed";
    default:
      return `is not valid YAML: ${fault.message.charAt(0).toLowerCase()}${fault.message.slice(1)}`;
  }
}

function valueOf(node: unknown, path: Path, reading: Reading): unknown {
  if (node === null || node === undefined) return null;
  if (path.length > MAX_DEPTH) return report(reading, path, `is nested deeper than ${MAX_DEPTH} levels`);
  if (reading.aliasDepth > 0 && ++reading.expanded > MAX_EXPANDED_NODES) return null;
  if (isAlias(node)) return aliasedValue(node.source, path, reading);
  if (isScalar(node)) return scalarValue(node, path, reading);
  if (isMap(node)) return mapValue(node, path, reading);
  return isSeq(node) ? listValue(node, path, reading) : null;
}

function report(reading: Reading, path: Path, message: string): null {
  reading.issues.push({ path, value: undefined, message });
  return null;
}

function aliasedValue(name: string, path: Path, reading: Reading): unknown {
  const target = reading.anchors.get(name);
  if (target === undefined) return report(reading, path, `is an alias of "${name}", which is not defined above it`);
  if (reading.open.has(target)) return report(reading, path, `is an alias of "${name}", which contains it`);
  reading.aliasDepth++;
  const value = valueOf(target, path, reading);
  reading.aliasDepth--;
  if (reading.expanded <= MAX_EXPANDED_NODES || reading.overflowed) return value;
  reading.overflowed = true;
  return report(reading, path, `is an alias that unfolds to more than ${MAX_EXPANDED_NODES} values`);
}

function scalarValue(
  node: { readonly value: unknown; readonly anchor?: string | undefined },
  path: Path,
  reading: Reading,
): unknown {
  remember(node as Node, reading);
  if (typeof node.value !== "string") return node.value;
  const replaced = withVariables(node.value, reading.env);
  if (replaced.ok) return replaced.value;
  reading.issues.push({ path, value: node.value, message: replaced.message });
  return node.value;
}

function listValue(node: YAMLSeq, path: Path, reading: Reading): unknown[] {
  remember(node, reading);
  reading.open.add(node);
  const list = node.items.map((item, index) => valueOf(item, [...path, index], reading));
  reading.open.delete(node);
  return list;
}

function mapValue(node: YAMLMap, path: Path, reading: Reading): Tree {
  remember(node, reading);
  reading.open.add(node);
  const tree = Object.create(null) as Tree;
  const merged: unknown[] = [];
  for (const pair of node.items) {
    const key = keyOf(pair);
    const here = [...path, key];
    if (key === "<<") merged.push(valueOf(pair.value, here, reading));
    else if (key === "__proto__") report(reading, here, "is not allowed as a key");
    else if (Object.hasOwn(tree, key)) report(reading, here, "is given twice in this map; keep one");
    else tree[key] = valueOf(pair.value, here, reading);
  }
  reading.open.delete(node);
  for (const source of merged) mergeInto(tree, source, path, reading);
  return tree;
}

/** `<<: *name` or a list of them: keys of the map itself win, then the earlier source. */
function mergeInto(tree: Tree, source: unknown, path: Path, reading: Reading): void {
  const sources: readonly unknown[] = Array.isArray(source) ? source : [source];
  for (const map of sources) {
    if (typeof map !== "object" || map === null || Array.isArray(map)) {
      report(reading, [...path, "<<"], "must be an alias of a map, or a list of them");
      continue;
    }
    for (const [key, value] of Object.entries(map)) if (!Object.hasOwn(tree, key)) tree[key] = value;
  }
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function remember(node: Node, reading: Reading): void {
  const anchor = "anchor" in node ? node.anchor : undefined;
  if (anchor !== undefined) reading.anchors.set(anchor, node);
}

function lineAt(
  document: Document.Parsed,
  lines: LineCounter,
  path: Path,
  anchors: ReadonlyMap<string, Node>,
): number | null {
  let node: unknown = document.contents;
  let start: number | null = null;
  for (const step of path) {
    const found = stepInto(isAlias(node) ? anchors.get(node.source) : node, step);
    if (found === null) break;
    start = found.start ?? start;
    node = found.node;
  }
  return start === null ? null : lines.linePos(start).line;
}

function stepInto(
  node: unknown,
  step: string | number,
): { readonly node: unknown; readonly start: number | undefined } | null {
  if (isSeq(node) && typeof step === "number") {
    const item = node.items[step] as Node | undefined;
    return item === undefined ? null : { node: item, start: item.range?.[0] };
  }
  if (!isMap(node)) return null;
  const pair = node.items.findLast((item) => keyOf(item) === step);
  const key = pair?.key as Node | undefined;
  return pair === undefined ? null : { node: pair.value, start: key?.range?.[0] };
}
