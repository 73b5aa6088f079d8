import { parseArgs } from "node:util";
import { compile } from "../config/compile.ts";
import { formatProblems } from "../config/print.ts";
import { decide } from "../model/decide.ts";
import type { RequestHead } from "../model/exchange-types.ts";
import { EMPTY_OVERLAY } from "../model/overlay.ts";
import { readFacts } from "../model/request-facts.ts";
import { routeTableFrom } from "../model/route-table.ts";
import type { Arm, FallbackStep, HedgeSpec, RouteSpec, StickySource } from "../model/snapshot.ts";
import { stickyKey } from "../model/sticky-key.ts";
import { textFromDuration, textFromShare } from "../config/units.ts";
import { readConfigFile } from "../sidecar.ts";
import type { CliStreams } from "./streams.ts";

const USAGE = "usage: crossfade explain FILE --request 'GET /path' [--header 'name: value']... [--client-ip IP]\n";

/** `crossfade explain`: which route, key, bucket and arm a request would get by this config, and why. */
export async function explain(args: readonly string[], streams: CliStreams): Promise<number> {
  const asked = parseAsked(args);
  if (typeof asked === "string") {
    streams.stderr(`crossfade: ${asked}\n${USAGE}`);
    return 2;
  }
  const reading = await readConfigFile(asked.file, streams.env);
  const compiled = reading.ok ? compile(reading.config, EMPTY_OVERLAY, reading.files) : reading;
  if (!compiled.ok) {
    streams.stderr(formatProblems(compiled.problems));
    return 1;
  }
  const facts = readFacts(asked.head);
  if (typeof facts === "string") {
    streams.stdout(`refused before any route: ${facts}\n`);
    return 0;
  }
  const { routes } = compiled.draft;
  const index = routeTableFrom(routes.map((route) => route.match)).match(asked.head, facts.target, facts.authority);
  const route = routes[index];
  if (route === undefined) {
    streams.stdout(`no route matches ${asked.head.method} ${facts.target.path}: answered 404 no_route\n`);
    return 0;
  }
  const from = { head: asked.head, cookie: facts.cookie, query: facts.target.query, clientIp: asked.head.peerAddress };
  streams.stdout(explained(route, facts.target.path, from, compiled.draft.killed));
  return 0;
}

function explained(
  route: Omit<RouteSpec, "cells">,
  path: string,
  from: Parameters<typeof stickyKey>[1],
  killed: boolean,
): string {
  const { split } = route;
  const share = { candidatePpm: split.candidatePpm, killed: killed || split.killed };
  const minted: string[] = [];
  const decision = decide(
    split,
    share,
    from,
    () => 0.5,
    () => {
      minted.push("(a new key)");
      return "a-new-key";
    },
  );
  const upstream = decision.arm === "candidate" ? split.candidate : split.baseline;
  const key =
    minted.length > 0 ? "none; a new one is made and given as a cookie" : keyText(split.sticky, from, decision.key);
  const rows: [string, string][] = [
    ["route", route.name],
    ["path", path],
    ["key", key],
    ["salt", split.salt],
    ["bucket", bucketText(decision.reason, decision.bucket)],
    ["share", `${textFromShare(split.candidatePpm)} (candidate iff bucket < ${split.candidatePpm})`],
    ["arm", `${decision.arm} (${upstream ?? "none"})`],
    ["why", WHY[decision.reason]],
    ...recoveryRows(route, decision.arm),
  ];
  return rows.map(([name, value]) => `${name.padEnd(8)} ${value}\n`).join("");
}

/** What the route says for bad days; nothing of what it does not say. */
function recoveryRows(
  { priority, retry, hedge, fallback, split }: Omit<RouteSpec, "cells">,
  arm: Arm,
): [string, string][] {
  const rows: [string, string][] = [];
  const other = (arm === "candidate" ? split.baseline : split.candidate) ?? "none";
  if (priority !== "normal") rows.push(["priority", priority]);
  if (hedge !== null) rows.push(["hedge", hedgeText(hedge, other)]);
  if (retry !== null) {
    rows.push(["retry", `${retry.attempts} tries in all, on ${[...retry.on, ...retry.statuses].join(", ")}`]);
  }
  // Reads may go either way, writes never towards the candidate.
  const rung = arm === "candidate" ? other : `${other} (not for writes)`;
  if (fallback.length > 0) rows.push(["fallback", fallback.map((step) => stepText(step, rung)).join(" → ")]);
  return rows;
}

function hedgeText({ delayMs, to }: HedgeSpec, other: string): string {
  const whom = to === "other" ? other : "the same upstream again";
  return `reads also ask ${whom}, ${delayMs === 0 ? "at once" : `after ${textFromDuration(delayMs)}`}`;
}

function stepText(step: FallbackStep, other: string): string {
  switch (step.kind) {
    case "arm":
      return other;
    case "stale":
      return `last good answer, up to ${textFromDuration(step.maxAgeMs)} old`;
    case "static":
      return `static ${step.status}`;
    case "upstream":
      return step.upstream;
  }
}

const WHY: Record<ReturnType<typeof decide>["reason"], string> = {
  bucket: "the key's bucket decides",
  override: "an override rule matches",
  segment: "the caller is in a segment that an override names",
  random: "no key: each request is drawn by lot, so this may differ from one to the next",
  baseline: "no key: this route sends such callers to the baseline",
  minted: "no key: a new one is made, and its bucket decides",
  killed: "the kill switch is on",
  "no-candidate": "this route has no candidate",
  unhealthy: "no endpoint of the candidate is known to be healthy",
  "circuit-open": "the candidate's circuit is open",
  "slow-start": "the candidate is coming back and gets this caller a little later",
};

function bucketText(reason: string, bucket: number): string {
  if (reason === "random") return "drawn by lot";
  if (reason === "minted") return "that of the new key";
  return bucket === -1 ? "not needed" : String(bucket);
}

function keyText(sources: readonly StickySource[], from: Parameters<typeof stickyKey>[1], key: string | null): string {
  if (key === null) return "none";
  const source = sources.find((candidate) => stickyKey([candidate], from) === key);
  return source === undefined ? JSON.stringify(key) : `${JSON.stringify(key)} from ${sourceText(source)}`;
}

function sourceText(source: StickySource): string {
  return source.kind === "client-ip" ? "the client's address" : `${source.kind} ${source.name}`;
}

interface Asked {
  readonly file: string;
  readonly head: RequestHead;
}

function parseAsked(args: readonly string[]): Asked | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        request: { type: "string" },
        header: { type: "string", multiple: true, default: [] },
        "client-ip": { type: "string", default: "127.0.0.1" },
      },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) return "explain needs one FILE";
    return askedFrom(file, values.request ?? "", values.header, values["client-ip"]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function askedFrom(file: string, request: string, lines: readonly string[], peerAddress: string): Asked | string {
  const [method, target, ...more] = request.trim().split(/\s+/);
  if (method === undefined || method === "" || target === undefined || more.length > 0)
    return "--request takes 'METHOD /path'";
  const headers: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) return `--header takes 'name: value', not ${JSON.stringify(line)}`;
    headers.push(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  if (!headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === "host")) headers.push("host", "localhost");
  return {
    file,
    head: {
      method,
      target,
      majorVersion: 1,
      minorVersion: 1,
      headers,
      peerAddress,
      localPort: 0,
      encrypted: false,
      facts: null,
    },
  };
}
