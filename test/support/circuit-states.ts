import assert from "node:assert/strict";
import type { UpstreamView } from "../../src/admin/views.ts";
import { view } from "./admin-calls.ts";
import type { Sidecar } from "./sidecar.ts";
import { changed, until } from "./until.ts";

/** The circuit of an upstream as a whole, as the control API shows it now. */
export async function circuitOf(sidecar: Sidecar, name: string): Promise<NonNullable<UpstreamView["circuit"]>> {
  const { upstreams: all } = (await view(sidecar, "status")) as unknown as { readonly upstreams: UpstreamView[] };
  return all.find((one) => one.name === name)?.circuit ?? assert.fail(`no circuit of ${name}`);
}

/** Waits until the circuit of an upstream is in this state. */
export async function untilState(sidecar: Sidecar, name: string, state: string): Promise<void> {
  let seen = "";
  let asking = false;
  await until(() => {
    if (seen === state) return true;
    if (!asking) {
      asking = true;
      void circuitOf(sidecar, name).then((circuit) => {
        seen = circuit.state;
        asking = false;
        changed();
      });
    }
    return false;
  }, `${name} to be ${state}`);
}
