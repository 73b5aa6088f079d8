import { compile } from "../config/compile.ts";
import type { SnapshotDraft } from "../config/compile.ts";
import { refusal } from "./edit.ts";
import type { Intent, Refusal } from "./edit.ts";

/** Compiles an intent; `capacity`: routes that can have a control word. */
export function draftFromIntent(
  intent: Intent,
  capacity: number,
): { readonly ok: true; readonly draft: SnapshotDraft } | Refusal {
  const compiled = compile({ ...intent.config, listeners: intent.listeners }, intent.overlay, intent.files);
  if (!compiled.ok) return { ok: false, code: "invalid_config", problems: compiled.problems };
  const count = compiled.draft.routes.length;
  if (count > capacity) return refusal("invalid_config", "routes", `${count} routes`, `is above ${capacity}`);
  return compiled;
}
