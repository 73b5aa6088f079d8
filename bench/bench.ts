/**
 * What a request through the sidecar costs: CPU per request and latency, against the upstream asked directly and against
 * nginx where it is installed. `npm run bench -- --help` lists the options; bench/README.md says how to read it.
 */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { refuse, wholeNumber } from "./arguments.ts";
import type { Subject } from "./contestant.ts";
import { loadTools, type LoadResult, type LoadTool } from "./loads.ts";
import { machineNow } from "./machine.ts";
import { plotSvg } from "./plot.ts";
import { coresToUse, cpuMicros, residentBytes } from "./processes.ts";
import { median, printTable, type Report, type Row } from "./report.ts";
import { CALLER, startCrossfade, startRival, startUpstream } from "./subjects.ts";
import { inTemporaryFolder } from "./temporary-folder.ts";

const HELP = `usage: npm run bench -- [options]
  --seconds N       length of one measurement (default 2)
  --rounds N        measurements of each; the median counts (default 3)
  --connections N   connections of the full load (default 64); the light load has one
  --upstream KIND   node or nginx: what answers behind (default node)
  --name NAME       results go to bench/results/NAME.json and .svg (default latest)
`;

interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly upstream: "node" | "nginx";
  readonly name: string;
}

interface Sample extends LoadResult {
  readonly cpuMicrosPerRequest: number | null;
  readonly upstreamCpuMicrosPerRequest: number;
  readonly residentBytes: number | null;
}

const options = readOptions();
await inTemporaryFolder("crossfade-bench", main);

async function main(folder: string): Promise<void> {
  const cores = coresToUse();
  const upstream = await startUpstream(options.upstream, cores.rest, folder);
  const crossfade = await startCrossfade(upstream.url, cores.measured, folder);
  const rival = await startRival(upstream.url, cores.measured, folder);
  const subjects = [upstream, crossfade, ...(rival === null ? [] : [rival])];
  const rows: Row[] = [];
  try {
    await warmUp(subjects, cores.rest);
    for (const tool of loadTools()) {
      for (const connections of [options.connections, 1]) {
        rows.push(...(await measure(tool, connections, subjects, upstream, cores.rest)));
      }
    }
  } finally {
    for (const each of subjects.toReversed()) await each.stop();
  }
  finish(rows, subjects, cores.measured !== null);
}

async function warmUp(subjects: readonly Subject[], core: number | null): Promise<void> {
  const [tool] = loadTools();
  for (const { name, url } of subjects) {
    progress(`warming up ${name}`);
    await tool?.run({ url, connections: options.connections, seconds: 2, headers: CALLER }, core);
  }
}

/** One kind of load on each subject in turn, round after round. */
async function measure(
  tool: LoadTool,
  connections: number,
  subjects: readonly Subject[],
  upstream: Subject,
  core: number | null,
): Promise<readonly Row[]> {
  const samples = new Map<string, Sample[]>(subjects.map(({ name }) => [name, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const each of subjects) {
      const sample = await takeSample(tool, connections, each, upstream, core);
      samples.get(each.name)?.push(sample);
      const cpu = sample.cpuMicrosPerRequest === null ? "" : `, ${sample.cpuMicrosPerRequest.toFixed(1)} µs CPU each`;
      const rate = `${Math.round(sample.requests / sample.seconds)} requests/s`;
      progress(`${tool.name}, ${connections} connections, round ${round}: ${each.name} ${rate}${cpu}`);
    }
  }
  return subjects.map(({ name }) => rowFrom(tool.name, connections, name, samples.get(name) ?? []));
}

async function takeSample(
  tool: LoadTool,
  connections: number,
  subject: Subject,
  upstream: Subject,
  core: number | null,
): Promise<Sample> {
  const before = [cpuOf(subject), cpuMicros(upstream.processId)] as const;
  const spec = { url: subject.url, connections, seconds: options.seconds, headers: CALLER };
  const result = await tool.run(spec, core);
  if (result.failed > 0) throw new Error(`${tool.name} on ${subject.name}: ${result.failedHow}`);
  const proxied = subject !== upstream;
  return {
    ...result,
    cpuMicrosPerRequest: proxied ? (cpuOf(subject) - before[0]) / result.requests : null,
    upstreamCpuMicrosPerRequest: (cpuMicros(upstream.processId) - before[1]) / result.requests,
    residentBytes: proxied ? residentBytes(subject.processId) : null,
  };
}

function cpuOf(subject: Subject): number {
  return cpuMicros(subject.processId);
}

function rowFrom(tool: string, connections: number, name: string, samples: readonly Sample[]): Row {
  const of = (pick: (sample: Sample) => number | null): number | null => {
    const values = samples.map(pick).filter((value) => value !== null);
    return values.length === 0 ? null : median(values);
  };
  return {
    load: tool,
    connections,
    subject: name,
    requestsPerSecond: of(({ requests, seconds }) => requests / seconds) ?? 0,
    cpuMicrosPerRequest: of((sample) => sample.cpuMicrosPerRequest),
    cpuMicrosOfRounds: samples.map((sample) => sample.cpuMicrosPerRequest),
    upstreamCpuMicrosPerRequest: of((sample) => sample.upstreamCpuMicrosPerRequest) ?? 0,
    p50Ms: of((sample) => sample.p50Ms) ?? 0,
    p99Ms: of((sample) => sample.p99Ms) ?? 0,
    residentBytes: of((sample) => sample.residentBytes),
  };
}

function finish(rows: readonly Row[], subjects: readonly Subject[], isPinned: boolean): void {
  const report: Report = {
    at: new Date().toISOString(),
    machine: machineNow(),
    options: { ...options, pinned: isPinned ? "measured on core 0, the rest on core 1" : "not pinned" },
    settings: Object.fromEntries(subjects.map(({ name, settings }) => [name, settings])),
    rows,
  };
  const file = fileURLToPath(new URL(`results/${options.name}`, import.meta.url));
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
  fs.writeFileSync(`${file}.svg`, plotSvg(report));
  process.stdout.write(printTable(report));
  process.stdout.write(`\nwritten: bench/results/${options.name}.json and .svg\n`);
}

function readOptions(): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", default: false },
      seconds: { ...text, default: "2" },
      rounds: { ...text, default: "3" },
      connections: { ...text, default: "64" },
      upstream: { ...text, default: "node" },
      name: { ...text, default: "latest" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (values.upstream !== "node" && values.upstream !== "nginx")
    refuse("--upstream", values.upstream, "node or nginx", HELP);
  if (!/^[\w.-]+$/.test(values.name)) refuse("--name", values.name, "a file name", HELP);
  return {
    seconds: wholeNumber("--seconds", values.seconds, HELP),
    rounds: wholeNumber("--rounds", values.rounds, HELP),
    connections: wholeNumber("--connections", values.connections, HELP),
    upstream: values.upstream,
    name: values.name,
  };
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
