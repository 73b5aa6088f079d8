import type { CircuitView, EndpointView, UpstreamView } from "../admin/views.ts";
import { aligned, durationText } from "./text-table.ts";

/** Upstreams as a table; one with several endpoints has a row for each below its own. */
export function upstreamRows(upstreams: readonly UpstreamView[]): readonly string[] {
  const header = ["UPSTREAM", "ENDPOINTS", "ACTIVE", "IDLE", "WAITING", "STATE"];
  return aligned([header, ...upstreams.flatMap(rowsOf)]);
}

/** What a change by hand did to a circuit. */
export function circuitText({ upstream }: { readonly upstream: UpstreamView }): string {
  return `${upstreamRows([upstream]).join("\n")}\n`;
}

function rowsOf({ name, endpoints, connections, circuit, endpointStates }: UpstreamView): readonly string[][] {
  const { active, idle, pending } = connections;
  const counts = [String(active), String(idle), String(pending)];
  const [only] = endpointStates;
  if (endpointStates.length === 1 && only !== undefined) {
    return [[name, only.endpoint, ...counts, stateText([...endpointTexts(only), ...circuitTexts(circuit)])]];
  }
  const parts = endpointStates.map((endpoint) => {
    const text = stateText([...endpointTexts(endpoint), ...circuitTexts(endpoint.circuit)]);
    return ["", endpoint.endpoint, "", "", "", text];
  });
  return [[name, `${endpoints.length} endpoints`, ...counts, stateText(circuitTexts(circuit))], ...parts];
}

function stateText(texts: readonly string[]): string {
  return texts.join(", ");
}

function endpointTexts({ health, healthReason, ejected, backInMs }: EndpointView): readonly string[] {
  const texts: string[] = [];
  if (health === "unhealthy") texts.push(healthReason === null ? "UNHEALTHY" : `UNHEALTHY (${healthReason})`);
  else if (health === "unknown") texts.push("not checked yet");
  else if (health === "healthy") texts.push("healthy");
  if (ejected) texts.push(`EJECTED for ${durationText(backInMs)}`);
  return texts;
}

function circuitTexts(circuit: CircuitView | null): readonly string[] {
  if (circuit === null) return [];
  const { state, retryInMs, opened } = circuit;
  switch (state) {
    case "open":
      return [retryInMs === null ? "circuit OPEN until reset" : `circuit OPEN for ${durationText(retryInMs)}`];
    case "half-open":
      return ["circuit HALF-OPEN"];
    case "closed":
      return [opened === 0 ? "circuit closed" : `circuit closed (opened ${opened} times)`];
  }
}
