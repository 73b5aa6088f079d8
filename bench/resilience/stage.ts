import type { Subject } from "../contestant.ts";
import { Scrape } from "../../test/support/scrape.ts";
import { startConfigured, type SidecarSubject } from "../servers/crossfade.ts";
import { startUpstream } from "../subjects.ts";
import type { ResilienceOptions } from "./options.ts";
import type { Findings } from "./report.ts";

/** Where everything runs, and where what is found goes. */
export interface Stage {
  readonly options: ResilienceOptions;
  readonly cores: { readonly measured: number | null; readonly rest: number | null };
  readonly folder: string;
  readonly found: Findings;
  progress(line: string): void;
}

/** What differs between the sidecars of the rows. */
export interface SidecarPlan {
  readonly name: string;
  readonly upstreams: object;
  /** Of the one route. */
  readonly route: object;
  /** Default 1. */
  readonly threads?: number;
  readonly bucketsPerDoubling?: number;
  /** Default errors. */
  readonly access?: "errors" | "none";
  /** For the report; undefined = the sections as they are. */
  readonly words?: string;
}

/** Who was started for a row; stopped together, last first. */
export class Crew {
  readonly #stage: Stage;
  readonly #started: Pick<Subject, "stop">[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** An upstream in a process of its own, with a small answer to everything. */
  async upstream(): Promise<Subject> {
    const { cores, folder } = this.#stage;
    return this.add(await startUpstream("node", cores.rest, folder));
  }

  /** A sidecar with one route for every path; what is switched on in it goes into the report. */
  async sidecar(plan: SidecarPlan): Promise<SidecarSubject> {
    const { name, upstreams, route, threads = 1, bucketsPerDoubling = 1, access = "errors" } = plan;
    const { cores, folder, found } = this.#stage;
    const config = {
      listen: [{ address: "127.0.0.1:0" }],
      metrics: { address: "127.0.0.1:0", bucketsPerDoubling },
      runtime: { threads, drain: { lameDuck: "0s", deadline: "2s" } },
      log: { level: "info", access },
      upstreams,
      routes: [{ name: "api", ...route }],
    };
    const shown = JSON.stringify({ upstreams, route }).replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT");
    const common = `${threads} data ${threads === 1 ? "thread" : "threads"}, metrics, access log ${access}`;
    const settings = `${common}; ${plan.words ?? `\`${shown}\``}`;
    found.settings[name] = settings;
    return this.add(await startConfigured({ name, settings }, config, { core: cores.measured, folder }));
  }

  add<T extends Pick<Subject, "stop">>(started: T): T {
    this.#started.push(started);
    return started;
  }

  async stop(): Promise<void> {
    for (const each of this.#started.toReversed()) await each.stop();
  }
}

/** Does the work with a crew that is stopped afterwards. */
export async function withCrew<T>(stage: Stage, work: (crew: Crew) => Promise<T>): Promise<T> {
  const crew = new Crew(stage);
  try {
    return await work(crew);
  } finally {
    await crew.stop();
  }
}

/** The metrics of a sidecar, now. */
export async function scrapeOf({ metricsUrl }: SidecarSubject): Promise<Scrape> {
  const answer = await fetch(metricsUrl);
  if (!answer.ok) throw new Error(`${metricsUrl} answered ${answer.status}`);
  return new Scrape(await answer.text());
}

/** Where a subject answers, as an endpoint of an upstream. */
export function endpointOf({ url }: Pick<Subject, "url">): string {
  return new URL(url).origin;
}
