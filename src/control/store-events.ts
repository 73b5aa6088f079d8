import type { StateEvent } from "../base/state-event.ts";
import type { Problem } from "../config/parse.ts";
import type { Cause } from "../model/snapshot.ts";
import type { ChangeSide } from "./change-note.ts";
import type { Edit } from "./edit.ts";
import { problemText } from "./problem-text.ts";

/** What an accepted edit did. */
export interface AcceptedChange {
  readonly edit: Edit;
  readonly cause: Cause;
  readonly generation: number;
  readonly before: ChangeSide;
  readonly after: ChangeSide;
  /** Routes whose split by hand ended, because their section was edited. */
  readonly ended: readonly string[];
  readonly warnings: readonly string[];
  /** Settings that only a restart brings into force. */
  readonly restartNeeded: readonly string[];
}

/** The events of an accepted edit, in the order they happened. */
export function eventsOfChange(change: AcceptedChange): readonly StateEvent[] {
  const { edit, cause, generation, before, after } = change;
  const fields = { generation, by: cause.by, actor: cause.actor, reason: cause.reason, before, after };
  switch (edit.kind) {
    case "config":
      return [
        {
          level: "info",
          name: "config-applied",
          message: "config applied",
          fields: withWarnings(fields, change.warnings),
        },
        ...aftermathOfConfig(change),
      ];
    case "split":
      return [
        { level: "info", name: "split-changed", message: "split changed", fields: { route: edit.route, ...fields } },
      ];
    case "rollback":
      return [
        {
          level: "warn",
          name: "rollback-applied",
          message: "rollback applied",
          fields: { route: edit.route, ...fields },
        },
      ];
    case "kill":
      return [
        { level: "warn", name: "kill-set", message: "kill switch set", fields: { ...named(edit.routes), ...fields } },
      ];
    case "unkill":
      return [
        {
          level: "info",
          name: "kill-lifted",
          message: "kill switch lifted",
          fields: { ...named(edit.routes), ...fields },
        },
      ];
  }
}

/** The event of a reload whose text said what is in force already. */
export function unchangedEvent(cause: Cause, generation: number): StateEvent {
  const fields = { generation, by: cause.by, actor: cause.actor };
  return { level: "info", name: "config-unchanged", message: "config unchanged", fields };
}

/** The event of a reload that was refused; everything stays as it was. */
export function refusedEvent(cause: Cause, generation: number, problems: readonly Problem[]): StateEvent {
  const fields = { generation, by: cause.by, actor: cause.actor, problems: problems.map(problemText) };
  return { level: "error", name: "config-refused", message: "config refused", fields };
}

/** The event of overlay entries that ended with an edit of their sections. */
export function overlayEndedEvent(ended: readonly string[], generation: number): StateEvent {
  return {
    level: "info",
    name: "overlay-ended",
    message: "overlay ended by an edit of its section",
    fields: { routes: ended, generation },
  };
}

/** The event of a change that is in force but could not be written down. */
export function auditFailedEvent(error: unknown, generation: number): StateEvent {
  const fields = { generation, error: error instanceof Error ? error.message : String(error) };
  return { level: "error", name: "audit-write-failed", message: "audit write failed", fields };
}

function aftermathOfConfig({ ended, generation, restartNeeded }: AcceptedChange): readonly StateEvent[] {
  const events: StateEvent[] = [];
  if (ended.length > 0) events.push(overlayEndedEvent(ended, generation));
  if (restartNeeded.length > 0) {
    const message = "settings were changed that only a restart brings into force";
    events.push({ level: "warn", name: "restart-needed", message, fields: { settings: restartNeeded, generation } });
  }
  return events;
}

function withWarnings(fields: Record<string, unknown>, warnings: readonly string[]): Record<string, unknown> {
  return warnings.length === 0 ? fields : { ...fields, warnings };
}

function named(routes: readonly string[] | null): { readonly routes: readonly string[] | "all" } {
  return { routes: routes ?? "all" };
}
