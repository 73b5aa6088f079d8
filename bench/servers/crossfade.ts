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
export async function startSidecar(setup: SidecarSetup, place: SidecarPlace): Promise<Subject> {
  const file = path.join(fs.mkdtempSync(path.join(place.folder, "crossfade-")), "crossfade.json");
  fs.writeFileSync(file, JSON.stringify(configOf(setup, place)));
  const script = setup.script ?? fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const args = [...(setup.nodeArguments ?? []), script, "run", "--config", file];
  const ready = /"listen":\["http:\/\/127\.0\.0\.1:(\d+)"\].*crossfade ready/;
  const running = await startPinned(place.core, process.execPath, args, ready);
  return subjectOf({ name: setup.name, settings: settingsOf(setup) }, Number(running.match[1]), running);
}

function configOf({ threads, engine, pipelining, prefixes }: SidecarSetup, { v1, v2 }: SidecarPlace): object {
  const pool = pipelining === undefined ? {} : { pool: { pipelining } };
  return {
    ...(engine === undefined ? {} : { engine }),
    listen: [{ address: "127.0.0.1:0" }],
    metrics: { address: "127.0.0.1:0" },
    runtime: { threads, drain: { lameDuck: "0s", deadline: "2s" } },
    log: { level: "info", access: "errors" },
    upstreams: { v1: { endpoints: [v1], ...pool }, v2: { endpoints: [v2], ...pool } },
    routes: (prefixes ?? ["/"]).map((pathPrefix, index) => ({
      name: index === 0 ? "api" : `api-${index}`,
      match: { pathPrefix },
      split: { baseline: "v1", candidate: "v2", share: "10%", sticky: [{ header: "x-user-id" }] },
    })),
  };
}

function settingsOf({ threads, engine, pipelining, prefixes }: SidecarSetup): string {
  const parts = [
    threads === "inline" ? "everything inline" : `${threads} data ${threads === 1 ? "thread" : "threads"}`,
    ...(engine === undefined ? [] : [`engine ${engine}`]),
    ...(pipelining === undefined ? [] : [`pool.pipelining ${pipelining}`]),
    ...(prefixes === undefined ? [] : [`${prefixes.length} ${prefixes.length === 1 ? "route" : "routes"}`]),
    SWITCHED_ON,
  ];
  return parts.join(", ");
}
