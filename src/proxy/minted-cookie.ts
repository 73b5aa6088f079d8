import type { Decision } from "../model/decide.ts";
import type { SplitSpec } from "../model/snapshot.ts";

/** The Set-Cookie value that gives a caller the key we made up; null when none is due. */
export function mintedCookie(split: SplitSpec, decision: Decision | null, encrypted: boolean): string | null {
  const rule = split.onMissingKey;
  if (decision === null || decision.mintedKey === null || rule.kind !== "set-cookie") return null;
  const age = `Max-Age=${Math.floor(rule.maxAgeMs / 1000)}`;
  const secure = encrypted ? "; Secure" : "";
  return `${rule.name}=${decision.mintedKey}; Path=/; ${age}; HttpOnly; SameSite=Lax${secure}`;
}
