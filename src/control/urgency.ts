import type { Overlay } from "../model/overlay.ts";
import { routeOverlay } from "./edit.ts";
import type { Edit } from "./edit.ts";

/** True for the edits that take callers back: they are visible before they are durable and wait for nothing. */
export function isUrgent(edit: Edit): boolean {
  return edit.kind === "rollback" || edit.kind === "kill";
}

/**
 * Remembers when urgent edits were asked, so that a proposal that was asked earlier and is still waiting for its turn
 * or for the disk cannot undo them.
 */
export class UrgencyLog {
  readonly #rollbacks = new Map<string, number>();
  readonly #kills = new Map<string, number>();
  #killOfAll = 0;

  /** Notes an urgent edit; `ticket` grows with each proposal. */
  note(edit: Edit, ticket: number): void {
    if (edit.kind === "rollback") this.#rollbacks.set(edit.route, ticket);
    if (edit.kind !== "kill") return;
    if (edit.routes === null) this.#killOfAll = ticket;
    else for (const name of edit.routes) this.#kills.set(name, ticket);
  }

  /** True when a later urgent edit says the opposite of this one. */
  outranks(edit: Edit, ticket: number): boolean {
    if (edit.kind === "split") return (this.#rollbacks.get(edit.route) ?? 0) > ticket;
    if (edit.kind !== "unkill") return false;
    const names = edit.routes ?? [...this.#kills.keys()];
    return this.#killOfAll > ticket || names.some((name) => (this.#kills.get(name) ?? 0) > ticket);
  }

  /**
   * The overlay for a config that was proposed before some of its rollbacks: those hold against the new text too, so
   * they are moved onto its sections.
   */
  keepLaterRollbacks(overlay: Overlay, digests: ReadonlyMap<string, string>, ticket: number): Overlay {
    const routes = { ...overlay.routes };
    for (const [name, asked] of this.#rollbacks) {
      const entry = routeOverlay(overlay, name);
      const basedOn = digests.get(name);
      if (asked <= ticket || entry.split?.cause !== "rollback" || basedOn === undefined) continue;
      routes[name] = { ...entry, split: { ...entry.split, basedOn } };
    }
    return { ...overlay, routes };
  }
}
