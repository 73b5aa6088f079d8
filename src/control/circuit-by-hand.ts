import type { Clock } from "../base/clock.ts";
import type { StateEventSink } from "../base/state-event.ts";
import type { AuditLog } from "../journal/audit-log.ts";
import type { Cause, Snapshot } from "../model/snapshot.ts";
import type { CircuitKind, CircuitReport } from "../telemetry/resilience-reports.ts";
import type { CircuitWatch } from "./circuit-watch.ts";
import { auditFailedEvent } from "./store-events.ts";

/** What a person can do to the circuits of an upstream: close them all, or open that of the upstream as a whole. */
export type CircuitDeed = "reset" | "trip";

/** What became of it. */
export type CircuitDeedResult =
  | { readonly ok: true; readonly generation: number }
  | { readonly ok: false; readonly code: "unknown_upstream" | "no_circuit"; readonly message: string };

/** Does a deed at once, then tells and records it as any other change. */
export type CircuitByHand = (cause: Cause, upstream: string, deed: CircuitDeed) => Promise<CircuitDeedResult>;

/** What it works with. */
export interface CircuitByHandOptions {
  readonly watch: Pick<CircuitWatch, "reset" | "trip" | "reports">;
  /** The snapshot in force. */
  readonly snapshot: () => Snapshot;
  readonly auditLog: Pick<AuditLog, "append">;
  readonly clock: Clock;
  readonly onEvent: StateEventSink;
}

/** Circuits by hand, for the admin API. */
export function circuitByHand(options: CircuitByHandOptions): CircuitByHand {
  const { watch, snapshot, onEvent } = options;
  return async (cause, upstream, deed) => {
    const { upstreams, generation } = snapshot();
    if (!upstreams.some(({ name }) => name === upstream)) return unknownUpstream(upstream, snapshot());
    const before = statesOf(watch.reports(), upstream);
    if (!watch[deed](upstream)) return noCircuit(upstream);
    const after = statesOf(watch.reports(), upstream);
    const { actor, reason, by } = cause;
    const sides = { before: { circuits: { [upstream]: before } }, after: { circuits: { [upstream]: after } } };
    onEvent({
      level: "warn",
      name: deed === "trip" ? "circuit-tripped-by-hand" : "circuit-reset-by-hand",
      message: deed === "trip" ? "circuit tripped by hand" : "circuit reset by hand",
      fields: { upstream, generation, by, actor, reason, ...sides },
    });
    await record(options, cause, sides, generation);
    return { ok: true, generation };
  };
}

async function record(
  { auditLog, clock, onEvent }: CircuitByHandOptions,
  { actor, action, reason, by }: Cause,
  sides: { readonly before: unknown; readonly after: unknown },
  generation: number,
): Promise<void> {
  try {
    await auditLog.append({ actor, action, reason, ...sides, generation, cause: by }, clock.wallMs());
  } catch (error) {
    onEvent(auditFailedEvent(error, generation));
  }
}

/** State by endpoint label, of the circuits that the upstream has now. */
function statesOf(reports: readonly CircuitReport[], upstream: string): Readonly<Record<string, CircuitKind>> {
  const states: Record<string, CircuitKind> = {};
  for (const report of reports) {
    if (report.upstream === upstream && report.now !== null) states[report.endpoint] = report.now.kind;
  }
  return states;
}

function unknownUpstream(name: string, { upstreams }: Snapshot): CircuitDeedResult {
  const known = upstreams.map((upstream) => upstream.name).slice(0, 20);
  const message = `upstream: ${JSON.stringify(name)} is not an upstream; upstreams are: ${known.join(", ")}`;
  return { ok: false, code: "unknown_upstream", message };
}

function noCircuit(name: string): CircuitDeedResult {
  return {
    ok: false,
    code: "no_circuit",
    message: `upstream: ${JSON.stringify(name)} has no circuitBreaker section, so it has no circuit`,
  };
}
