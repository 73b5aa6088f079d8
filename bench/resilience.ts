/**
 * What the sidecar promises for the time when v2 misbehaves, measured: probes, answers with the circuit open, fallbacks, a
 * v2 that is killed, and what all of that costs while nothing is wrong. `npm run bench:resilience -- --help` lists the
 * options; bench/README.md says how to read it.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { oneLine } from "./compare/one-line.ts";
import { machineNow } from "./machine.ts";
import { coresToUse } from "./processes.ts";
import { measureCost, measureParts } from "./resilience/cost.ts";
import { measureFallback } from "./resilience/fallback.ts";
import { measureKill } from "./resilience/kill.ts";
import { checkLaws } from "./resilience/laws.ts";
import { measureOpen } from "./resilience/open.ts";
import { readOptions, type RowName } from "./resilience/options.ts";
import { printReport } from "./resilience/print.ts";
import { measureProbes } from "./resilience/probe.ts";
import type { ResilienceReport, ResilienceRow } from "./resilience/report.ts";
import { measureReuse } from "./resilience/reuse.ts";
import type { Stage } from "./resilience/stage.ts";
import { measureTrip } from "./resilience/trip.ts";
import { inTemporaryFolder } from "./temporary-folder.ts";

const MEASURE: Readonly<Record<RowName, (stage: Stage) => Promise<readonly ResilienceRow[]>>> = {
  probe: measureProbes,
  open: measureOpen,
  fallback: measureFallback,
  kill: measureKill,
  trip: measureTrip,
  laws: checkLaws,
  reuse: measureReuse,
  cost: measureCost,
  parts: measureParts,
};

const options = readOptions();
await inTemporaryFolder("crossfade-resilience", main);

async function main(folder: string): Promise<void> {
  const [startMs, loadAverageBefore] = [performance.now(), os.loadavg()[0] ?? 0];
  const cores = coresToUse();
  const found: Stage["found"] = { rows: [], costs: [], settings: {} };
  const stage: Stage = { options, cores, folder, found, progress };
  for (const row of options.rows) found.rows.push(...(await measured(row, stage)));
  finish({
    at: new Date().toISOString(),
    machine: machineNow(),
    loadAverageBefore,
    seconds: (performance.now() - startMs) / 1_000,
    options,
    isPinned: cores.measured !== null,
    ...found,
  });
}

/** One that cannot be measured is noted, and the others go on. */
async function measured(row: RowName, stage: Stage): Promise<readonly ResilienceRow[]> {
  try {
    return await MEASURE[row](stage);
  } catch (error) {
    const why = oneLine(error);
    progress(`${row}: could not be measured: ${why}`);
    const nothing = { target: "–", met: null, how: "–", disturbed: [], rounds: null };
    return [{ row, what: row, measured: `could not be measured: ${why}`, ...nothing }];
  }
}

function finish(report: ResilienceReport): void {
  const file = fileURLToPath(new URL(`results/${options.name}`, import.meta.url));
  const text = printReport(report);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
  fs.writeFileSync(`${file}.md`, text);
  process.stdout.write(`${text}\nwritten: bench/results/${options.name}.json and .md\n`);
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
