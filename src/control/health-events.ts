import type { StateEvent } from "../base/state-event.ts";
import type { HealthState, ProbeResult } from "../policy/health.ts";

/** Who an event is about. */
interface Subject {
  readonly upstream: string;
  readonly endpoint: string;
}

/** The event of a result that changed what an endpoint is; null when it changed nothing. */
export function eventOfHealth(
  subject: Subject,
  before: HealthState,
  after: HealthState,
  result: ProbeResult,
): StateEvent | null {
  if (before.kind === after.kind) return null;
  if (after.kind === "unhealthy") {
    const fields = { ...named(subject), before: before.kind, ...causeOf(result) };
    return { level: "warn", name: "endpoint-unhealthy", message: "endpoint became unhealthy", fields };
  }
  const first = before.kind === "unknown";
  return {
    level: "info",
    name: first ? "endpoint-first-pass" : "endpoint-healthy",
    message: first ? "endpoint passed its first health check" : "endpoint became healthy",
    fields: named(subject),
  };
}

/** The event of an endpoint that does not know the gRPC health protocol, told once. */
export function unimplementedEvent(subject: Subject): StateEvent {
  return {
    level: "warn",
    name: "health-unimplemented",
    message: "endpoint does not offer grpc.health.v1 and counts as unhealthy",
    fields: { ...named(subject), setting: "health.grpc.unimplemented: healthy" },
  };
}

function named({ upstream, endpoint }: Subject): Record<string, unknown> {
  return { upstream, endpoint };
}

function causeOf(result: ProbeResult): Record<string, unknown> {
  return result.kind === "pass" ? {} : { reason: result.reason, detail: result.detail };
}
