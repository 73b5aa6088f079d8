import path from "node:path";
import { fileURLToPath } from "node:url";
import { oneLine } from "../compare/one-line.ts";
import { runPinned } from "../processes.ts";
import type { ResilienceRow } from "./report.ts";
import type { Stage } from "./stage.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What is proved by a law rather than measured: its test is run. */
const LAWS = [
  {
    what: "probes admitted in half-open",
    target: "exactly the configured number, under 8 threads",
    file: "test/laws/circuit-threads.test.ts",
  },
  {
    what: "false trips of the breaker, 1 % background errors, 10 M simulated requests, ratio 50 %, at least 20",
    target: "0",
    file: "test/laws/circuit-false-trips.test.ts",
  },
] as const;

/** Runs the law tests that are rows of the table. */
export async function checkLaws({ progress }: Stage): Promise<readonly ResilienceRow[]> {
  const rows: ResilienceRow[] = [];
  for (const { what, target, file } of LAWS) {
    const failure = await failureOf(file);
    progress(`${file}: ${failure ?? "holds"}`);
    rows.push({
      row: "laws",
      what,
      target,
      measured: failure === null ? "the law holds" : "the law is broken",
      met: failure === null,
      how: file,
      disturbed: [],
      rounds: { failure },
    });
  }
  return rows;
}

async function failureOf(file: string): Promise<string | null> {
  try {
    await runPinned(null, process.execPath, ["--test", path.join(ROOT, file)]);
    return null;
  } catch (error) {
    return oneLine(error);
  }
}
