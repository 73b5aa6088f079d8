import type { Path } from "./schema-walk.ts";

/** Sections that a later version will have, by place (`*` = any name or index) → what to do without them. */
export const LATER_SECTIONS: ReadonlyMap<string, string> = new Map([
  ["upstreams.*.health", "remove the section; endpoints count as healthy until a connection fails"],
  ["upstreams.*.circuitBreaker", "remove the section; limits of pool and timeouts still apply"],
  ["routes.*.retry", "remove the section; a request that met a stale connection is still tried again"],
  ["routes.*.fallback", "remove the section; a failed upstream is answered with 502, 503 or 504"],
  ["routes.*.shadow", "remove the section; no copies are sent"],
  ["routes.*.rollout", "remove the section and set split.share by hand"],
]);

/** The sentence for a section that this version does not have yet; null when it is not one of those. */
export function laterSection(path: Path): string | null {
  if (path.length !== 3) return null;
  const place = `${path[0]}.*.${path[2]}`;
  const advice = LATER_SECTIONS.get(place);
  return advice === undefined ? null : `is not available in this version (0.1) yet; ${advice}`;
}
