import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { subjectOf, type Contestant, type Subject } from "../contestant.ts";
import { startPinned } from "../processes.ts";

/** How a sidecar is set up for a measurement. */
export interface SidecarSetup {
  readonly name: string;
  /** One data thread or more, or everything inline so that one profile sees it all. */
  readonly threads: number | "inline";
  /** Undefined = the default of the config. */
  readonly engine?: "native" | "library";
  readonly pipelining?: number;
  /** A route for each; undefined = one route for every path. */
  readonly prefixes?: readonly string[];
  /** Before the script. */
  readonly nodeArguments?: readonly string[];
  /** The script to start; undefined = from the sources. */
  readonly script?: string;
  /** Sections beside those that every sidecar of the benchmark has. */
  readonly sections?: SidecarSections;
}

/** Sections of the config, and what they are in words. */
export interface SidecarSections {
  readonly words: string;
  /** Of both upstreams. */
  readonly upstream?: object;
  /** Of every route. */
  readonly route?: object;
  /** Of the process as a whole. */
  readonly process?: object;
}

/** A sidecar with all of its addresses. */
export interface SidecarSubject extends Subject {
  readonly metricsUrl: string;
}

/** Where the sidecar sends its requests and where it runs. */
export interface SidecarPlace {
  readonly v1: string;
  readonly v2: string;
  readonly core: number | null;
  readonly folder: string;
}

const SWITCHED_ON =
  "sticky 10 % split by murmur3 of x-user-id, keep-alive upstream, metrics on, access log errors, " +
  "forwarded headers, Via, request id both ways, traceparent";

/** A contestant of the comparison with one data thread. */
export function crossfade(setup: Omit<SidecarSetup, "threads"> & { readonly threads?: number }): Contestant {
  const full: SidecarSetup = { threads: 1, ...setup };
  return {
    name: setup.name,
    settings: settingsOf(full),
    program: null,
    start: ({ upstream, core, folder }) => {
      const [v1, v2] = [`http://127.0.0.1:${upstream.v1}`, `http://127.0.0.1:${upstream.v2}`];
      return startSidecar(full, { v1, v2, core, folder });
    },
  };
}

/** Starts a sidecar with what a pod would have switched on. */
export function startSidecar(setup: SidecarSetup, place: SidecarPlace): Promise<SidecarSubject> {
  return startConfigured({ ...setup, settings: settingsOf(setup) }, configOf(setup, place), place);
}

/** Starts a sidecar with this config, which must have a `metrics` section; `settings` says what is on in it. */
export async function startConfigured(
  { name, settings, nodeArguments, script }: Omit<SidecarSetup, "threads"> & { readonly settings: string },
  config: object,
  { core, folder }: Pick<SidecarPlace, "core" | "folder">,
): Promise<SidecarSubject> {
  const file = path.join(fs.mkdtempSync(path.join(folder, "crossfade-")), "crossfade.json");
  fs.writeFileSync(file, JSON.stringify(config));
  const main = script ?? fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const args = [...(nodeArguments ?? []), main, "run", "--config", file];
  const running = await startPinned(core, process.execPath, args, /^(\{.*"msg":"crossfade ready".*\})\n/m);
  const ready = JSON.parse(running.match[1] ?? "") as { readonly listen: readonly string[]; readonly metrics: string };
  const port = Number(new URL(ready.listen[0] ?? "").port);
  return { ...subjectOf({ name, settings }, port, running), metricsUrl: `${ready.metrics}/metrics` };
}

function configOf({ threads, engine, pipelining, prefixes, sections }: SidecarSetup, { v1, v2 }: SidecarPlace): object {
  const upstream = { ...(pipelining === undefined ? {} : { pool: { pipelining } }), ...sections?.upstream };
  return {
    ...(engine === undefined ? {} : { engine }),
    listen: [{ address: "127.0.0.1:0" }],
    metrics: { address: "127.0.0.1:0" },
    runtime: { threads, drain: { lameDuck: "0s", deadline: "2s" } },
    log: { level: "info", access: "errors" },
    ...sections?.process,
    upstreams: { v1: { endpoints: [v1], ...upstream }, v2: { endpoints: [v2], ...upstream } },
    routes: (prefixes ?? ["/"]).map((pathPrefix, index) => ({
      name: index === 0 ? "api" : `api-${index}`,
      match: { pathPrefix },
      split: { baseline: "v1", candidate: "v2", share: "10%", sticky: [{ header: "x-user-id" }] },
      ...sections?.route,
    })),
  };
}

function settingsOf({ threads, engine, pipelining, prefixes, sections }: SidecarSetup): string {
  const parts = [
    threads === "inline" ? "everything inline" : `${threads} data ${threads === 1 ? "thread" : "threads"}`,
    ...(engine === undefined ? [] : [`engine ${engine}`]),
    ...(pipelining === undefined ? [] : [`pool.pipelining ${pipelining}`]),
    ...(prefixes === undefined ? [] : [`${prefixes.length} ${prefixes.length === 1 ? "route" : "routes"}`]),
    SWITCHED_ON,
    ...(sections === undefined ? [] : [sections.words]),
  ];
  return parts.join(", ");
}
