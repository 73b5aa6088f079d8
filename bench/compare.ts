/**
 * What a request costs the sidecar and its rivals: CPU per request, throughput, latency, memory, all doing the same work
 * in turn on one core. `npm run bench:compare -- --help` lists the options; bench/README.md says how it measures.
 */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { compareSvg } from "./compare/chart.ts";
import { readOptions, type CompareOptions } from "./compare/options.ts";
import { printReport } from "./compare/print.ts";
import type { CompareReport } from "./compare/report.ts";
import { runLoads, type Findings } from "./compare/run.ts";
import { targetRows } from "./compare/targets.ts";
import { machineNow } from "./machine.ts";
import { coresToUse, findProgram } from "./processes.ts";
import { inTemporaryFolder } from "./temporary-folder.ts";
import { startUpstreamPair } from "./upstreams.ts";

const options = readOptions();
if (findProgram("wrk") === null) {
  process.stderr.write("bench:compare needs wrk, which is not on the PATH\n");
  process.exit(2);
}
await inTemporaryFolder("crossfade-compare", main);

async function main(folder: string): Promise<void> {
  const cores = coresToUse();
  const upstream = await startUpstreamPair(options.upstream, cores.rest, folder);
  try {
    const place = { upstream: upstream.ports, core: cores.measured, folder };
    const found = await runLoads(options, { place, loadCore: cores.rest, progress });
    finish(reportOf(options, found, upstream.settings, cores.measured !== null));
  } finally {
    await upstream.stop();
  }
}

function reportOf(
  { rounds, seconds, warmUpSeconds }: CompareOptions,
  found: Findings,
  upstream: string,
  isPinned: boolean,
): CompareReport {
  return {
    at: new Date().toISOString(),
    machine: machineNow(),
    options: {
      rounds: `${rounds} of ${seconds} s in turn, after ${warmUpSeconds} s of warming up; medians`,
      cores: isPinned ? "the proxy on core 0, load generator and upstream on core 1" : "nobody is held to a core",
      load: "wrk, 1 thread, 1 000 callers in turn; paced: paced-load.ts",
      upstream: `${upstream}, v1 and v2 on two ports`,
    },
    ...found,
    targets: targetRows(found),
  };
}

function finish(report: CompareReport): void {
  const file = fileURLToPath(new URL(`results/${options.name}`, import.meta.url));
  const text = printReport(report);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
  fs.writeFileSync(`${file}.md`, text);
  fs.writeFileSync(`${file}.svg`, compareSvg(report));
  process.stdout.write(`${text}\nwritten: bench/results/${options.name}.json, .md and .svg\n`);
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
