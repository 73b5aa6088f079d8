import { formatProblems } from "../config/print.ts";
import { readConfigFile } from "../sidecar.ts";
import type { CliStreams } from "./streams.ts";

/** `crossfade check FILE`: 0 when the config can be used, 1 with every problem when not. */
export async function check(configPath: string, { stdout, stderr, env }: CliStreams): Promise<number> {
  const reading = await readConfigFile(configPath, env);
  if (!reading.ok) {
    stderr(`${configPath}\n${formatProblems(reading.problems)}`);
    return 1;
  }
  for (const warning of reading.warnings) stderr(`warning: ${warning}\n`);
  const { routes, upstreams } = reading.config;
  stdout(`${configPath} is fine: ${counted(routes.length, "route")}, ${counted(upstreams.length, "upstream")}\n`);
  return 0;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
