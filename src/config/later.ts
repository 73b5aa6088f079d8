import type { Path } from "./schema-walk.ts";

/** Sections that a later version will have, by place (`*` = any name or index) → what to do without them. */
export const LATER_SECTIONS: ReadonlyMap<string, string> = new Map([
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
