/**
 * Where the CPU of a request goes: the sidecar inline under `node --cpu-prof`, a full load on it, and the functions with
 * the most time of their own. Run: node bench/profile.ts [--seconds 8] [--keep FILE]
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { loadTools } from "./loads.ts";
import { coresToUse, cpuMicros } from "./processes.ts";
import { CALLER, startCrossfade, startUpstream } from "./subjects.ts";

/** What V8 writes: a tree of call frames, and which node each sample hit. Times are µs. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const AREAS = 14;
const ROWS = 20;
const text = { type: "string" } as const;
const { values } = parseArgs({ options: { seconds: { ...text, default: "8" }, keep: text } });
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-profile-"));
try {
  const profile = await takeProfile(Number(values.seconds));
  printSelfTimes(profile);
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}

async function takeProfile(seconds: number): Promise<CpuProfile> {
  const cores = coresToUse();
  const [tool] = loadTools();
  if (tool === undefined) throw new Error("no load tool");
  const upstream = await startUpstream("node", cores.rest, folder);
  const profiling = ["--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${folder}`];
  const sidecar = await startCrossfade(upstream.url, cores.measured, folder, "inline", profiling);
  const before = cpuMicros(sidecar.processId);
  const spec = { url: sidecar.url, connections: 64, seconds, headers: CALLER };
  const { requests } = await tool.run(spec, cores.rest);
  const each = (cpuMicros(sidecar.processId) - before) / requests;
  process.stdout.write(`${requests} requests by ${tool.name}, ${each.toFixed(1)} µs CPU each under the profiler\n\n`);
  await sidecar.stop();
  await upstream.stop();
  const file = fs.readdirSync(folder).find((name) => name.endsWith(".cpuprofile"));
  if (file === undefined) throw new Error(`no profile in ${folder}`);
  if (values.keep !== undefined) fs.copyFileSync(path.join(folder, file), values.keep);
  return JSON.parse(fs.readFileSync(path.join(folder, file), "utf8")) as CpuProfile;
}

function printSelfTimes({ nodes, samples, timeDeltas }: CpuProfile): void {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const selfMicros = new Map<string, number>();
  const areaMicros = new Map<string, number>();
  let busyMicros = 0;
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === "(idle)" || frame.functionName === "(root)") continue;
    const micros = timeDeltas[index] ?? 0;
    busyMicros += micros;
    const place = placeOf(frame.url);
    const name = `${frame.functionName === "" ? "(anonymous)" : frame.functionName} | ${place}`;
    selfMicros.set(name, (selfMicros.get(name) ?? 0) + micros);
    areaMicros.set(areaOf(place), (areaMicros.get(areaOf(place)) ?? 0) + micros);
  }
  printShares("| area | share of busy time |\n|---|--:|", areaMicros, busyMicros, AREAS);
  printShares("| function | file | self time |\n|---|---|--:|", selfMicros, busyMicros, ROWS);
}

function printShares(head: string, micros: ReadonlyMap<string, number>, total: number, most: number): void {
  const rows = [...micros].toSorted(([, a], [, b]) => b - a).slice(0, most);
  const lines = rows.map(([name, value]) => `| ${name} | ${((100 * value) / total).toFixed(1)} % |`);
  process.stdout.write(`${head}\n${lines.join("\n")}\n\n`);
}

function placeOf(url: string): string {
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+.*)$/.exec(url);
  if (inPackage !== null) return inPackage[1] ?? url;
  const inSources = /\/(src\/.*)$/.exec(url);
  return inSources?.[1] ?? (url === "" ? "native" : url);
}

function areaOf(place: string): string {
  if (place.startsWith("src/")) return place.split("/").slice(0, 2).join("/");
  if (place.startsWith("node:")) return place.replace(/^node:(internal\/)?/, "node ").split("/")[0] ?? place;
  return place.split("/")[0] ?? place;
}
