import assert from "node:assert/strict";
import { ask } from "./admin-bench.ts";
import type { Sidecar } from "./sidecar.ts";

/** The body of an accepted change. */
export interface Change {
  readonly outcome: "applied" | "unchanged";
  readonly generation: number;
  readonly durable: string;
}

/** Sets a route's share by hand, `25%`. */
export function setSplit(sidecar: Sidecar, route: string, share: string): Promise<Change> {
  return change(sidecar, "PUT", `routes/${route}/split`, { share, reason: "a test" });
}

/** Takes a route back to its baseline. */
export function rollBack(sidecar: Sidecar, route: string): Promise<Change> {
  return change(sidecar, "POST", `routes/${route}/rollback`, { reason: "a test" });
}

/** Throws the kill switch for all routes, or for those named. */
export function kill(sidecar: Sidecar, routes: readonly string[] | null = null): Promise<Change> {
  return change(sidecar, "PUT", "kill", { reason: "a test", ...(routes !== null && { routes }) });
}

/** Lifts the kill switch. */
export function unkill(sidecar: Sidecar, routes: readonly string[] | null = null): Promise<Change> {
  return change(sidecar, "DELETE", "kill", { reason: "a test", ...(routes !== null && { routes }) });
}

/** Has the config read again; fails unless it is accepted. */
export function reload(sidecar: Sidecar): Promise<Change> {
  return change(sidecar, "POST", "reload", { reason: "a test" });
}

/** A view of the control API, as JSON. */
export async function view(sidecar: Sidecar, path: string): Promise<Readonly<Record<string, unknown>>> {
  const answer = await ask(adminPort(sidecar), "GET", `/api/v1/${path}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** The port of the control API. */
export function adminPort(sidecar: Sidecar): number {
  assert.ok(sidecar.adminUrl !== null, "the sidecar has a control API");
  return Number(new URL(sidecar.adminUrl).port);
}

async function change(sidecar: Sidecar, method: string, path: string, body: object): Promise<Change> {
  const answer = await ask(adminPort(sidecar), method, `/api/v1/${path}`, { body });
  assert.equal(answer.status, 200, answer.text);
  return answer.json as unknown as Change;
}
