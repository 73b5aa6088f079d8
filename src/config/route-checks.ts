import type { Issue } from "./issue.ts";
import { checkRecovery } from "./recovery-checks.ts";
import type { Path } from "./schema-walk.ts";
import { checkExactlyOne, checkHeaderNames, checkReference, checkRepeats } from "./shared-checks.ts";
import { COOKIE_RULE, HEADER_RULE, isToken } from "./texts.ts";
import { entriesOf, fieldOf, listOf, mapOf } from "./tree-edit.ts";
import { shareFromText } from "./units.ts";

/** Rules inside routes and between them and what they name; see cross-checks.ts. */
export function checkRoutes(tree: unknown, issues: Issue[]): void {
  const names: Names = {
    upstreams: new Set(entriesOf(fieldOf(tree, "upstreams")).map(([name]) => name)),
    segments: new Set(entriesOf(fieldOf(tree, "segments")).map(([name]) => name)),
  };
  const seen = new Map<string, number>();
  for (const [index, route] of listOf(fieldOf(tree, "routes")).entries()) {
    const path: Path = ["routes", index];
    checkRouteName([...path, "name"], fieldOf(route, "name"), seen, index, issues);
    checkMatch([...path, "match"], fieldOf(route, "match"), issues);
    checkSplit([...path, "split"], fieldOf(route, "split"), names, issues);
    checkRecovery(path, route, names.upstreams, issues);
  }
}

interface Names {
  readonly upstreams: ReadonlySet<string>;
  readonly segments: ReadonlySet<string>;
}

function checkRouteName(path: Path, name: unknown, seen: Map<string, number>, index: number, issues: Issue[]): void {
  if (typeof name !== "string") return;
  const first = seen.get(name);
  if (first === undefined) seen.set(name, index);
  else issues.push({ path, value: name, message: `is the name of routes[${first}] too; names are unique` });
}

function checkMatch(path: Path, match: unknown, issues: Issue[]): void {
  const given = ["path", "pathPrefix", "pathRegex"].filter((key) => fieldOf(match, key) !== undefined);
  if (given.length > 1) {
    const message = `has ${given.join(" and ")}; give one of path, pathPrefix, pathRegex`;
    issues.push({ path, value: undefined, message });
  }
  checkRepeats([...path, "methods"], listOf(fieldOf(match, "methods")), issues);
  checkHeaderNames([...path, "headers"], fieldOf(match, "headers"), issues);
}

function checkSplit(path: Path, split: unknown, names: Names, issues: Issue[]): void {
  if (mapOf(split) === null) return;
  checkReference([...path, "baseline"], fieldOf(split, "baseline"), "upstream", names.upstreams, issues);
  checkReference([...path, "candidate"], fieldOf(split, "candidate"), "upstream", names.upstreams, issues);
  const hasCandidate = fieldOf(split, "candidate") !== undefined;
  checkShare([...path, "share"], fieldOf(split, "share"), hasCandidate, issues);
  checkSticky([...path, "sticky"], listOf(fieldOf(split, "sticky")), issues);
  for (const [index, rule] of listOf(fieldOf(split, "overrides")).entries()) {
    checkOverride([...path, "overrides", index], rule, names, hasCandidate, issues);
  }
}

function checkShare(path: Path, share: unknown, hasCandidate: boolean, issues: Issue[]): void {
  if (hasCandidate || typeof share !== "string") return;
  const ppm = shareFromText(share);
  if (!ppm.ok || ppm.value === 0) return;
  issues.push({
    path,
    value: share,
    message: "goes to nobody: the split has no candidate; name one or remove the share",
  });
}

function checkSticky(path: Path, sources: readonly unknown[], issues: Issue[]): void {
  const seen = new Set<string>();
  for (const [index, source] of sources.entries()) {
    if (mapOf(source) === null) continue;
    checkExactlyOne([...path, index], source, ["header", "cookie", "query", "clientIp"], issues);
    const text = JSON.stringify(source);
    if (seen.has(text)) issues.push({ path: [...path, index], value: undefined, message: "is given twice; keep one" });
    seen.add(text);
  }
}

function checkOverride(path: Path, rule: unknown, names: Names, hasCandidate: boolean, issues: Issue[]): void {
  if (mapOf(rule) === null) return;
  checkExactlyOne(path, rule, ["header", "cookie", "segment"], issues);
  checkOnePair([...path, "header"], fieldOf(rule, "header"), HEADER_RULE, issues);
  checkOnePair([...path, "cookie"], fieldOf(rule, "cookie"), COOKIE_RULE, issues);
  checkReference([...path, "segment"], fieldOf(rule, "segment"), "segment", names.segments, issues);
  if (fieldOf(rule, "to") !== "candidate" || hasCandidate) return;
  issues.push({ path: [...path, "to"], value: "candidate", message: "goes to nobody: the split has no candidate" });
}

function checkOnePair(path: Path, pairs: unknown, nameRule: string, issues: Issue[]): void {
  if (mapOf(pairs) === null) return;
  const entries = entriesOf(pairs);
  if (entries.length !== 1)
    issues.push({ path, value: undefined, message: "must have exactly one name and its value" });
  for (const [name] of entries)
    if (!isToken(name)) issues.push({ path: [...path, name], value: undefined, message: nameRule });
}
