import assert from "node:assert/strict";
import type { Sidecar } from "./sidecar.ts";
import { changed, until } from "./until.ts";

/** One sample of a scrape. */
export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All samples of one scrape. */
export class Scrape {
  readonly samples: readonly ScrapedSample[];
  /** Metric name → type, as announced. */
  readonly types: ReadonlyMap<string, string>;

  constructor(text: string) {
    this.samples = text.split("\n").flatMap(sampleFrom);
    this.types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type]));
  }

  /** The sum of a metric's samples that carry these labels; 0 when there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels);
    return this.samples
      .filter((sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** Every sample that must never go back, by its full name: counters, and the parts of histograms. */
  monotonic(): ReadonlyMap<string, number> {
    const grows = ({ name }: ScrapedSample): boolean =>
      this.types.get(name) === "counter" || this.types.get(name.replace(/_(?:bucket|sum|count)$/, "")) === "histogram";
    return new Map(this.samples.filter(grows).map((sample) => [keyOf(sample), sample.value]));
  }
}

/** Reads /metrics now. */
export async function scrape(sidecar: Sidecar): Promise<Scrape> {
  const answer = await fetch(`${sidecar.metricsUrl}/metrics`, { signal: AbortSignal.timeout(5_000) });
  assert.equal(answer.status, 200);
  return new Scrape(await answer.text());
}

/** Scrapes until the condition holds; gives the scrape that met it. */
export async function scrapeUntil(
  sidecar: Sidecar,
  what: string,
  holds: (scrape: Scrape) => boolean,
  deadlineMs: number = 5_000,
): Promise<Scrape> {
  let last: Scrape | null = null;
  let asking = false;
  const look = (): void => {
    if (asking) return;
    asking = true;
    void scrape(sidecar).then(
      (next) => {
        last = next;
        asking = false;
        changed();
      },
      () => {
        asking = false;
      },
    );
  };
  const met = (): Scrape | null => {
    if (last !== null && holds(last)) return last;
    look();
    return null;
  };
  return until(met, what, { deadlineMs });
}

/** Asserts that nothing that counts upwards went back between two scrapes. */
export function assertMonotonic(before: Scrape, after: Scrape): void {
  const now = after.monotonic();
  for (const [key, value] of before.monotonic()) {
    const next = now.get(key);
    assert.ok(next !== undefined, `${key} is gone`);
    assert.ok(next >= value, `${key} went back from ${value} to ${next}`);
  }
}

function keyOf({ name, labels }: ScrapedSample): string {
  return `${name}${JSON.stringify(Object.entries(labels).toSorted())}`;
}

function sampleFrom(line: string): ScrapedSample[] {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) return [];
  const pairs = [...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  const labels = Object.fromEntries(pairs.map(([, label = "", value = ""]) => [label, value]));
  return [{ name: match[1] ?? "", labels, value: Number(match[3]) }];
}
