import { ENV_PREFIX, placesOf } from "./env-names.ts";
import type { Issue } from "./issue.ts";
import { applyKgcAliases, isKgcName } from "./kgc.ts";
import { configSchema } from "./schema.ts";
import type { Path } from "./schema-walk.ts";
import { putAt } from "./tree-edit.ts";
import type { Environment } from "./variables.ts";

/** What the environment did to a config tree. */
export interface EnvironmentResult {
  /** Wrong variables; the path is the variable's name. */
  readonly issues: readonly Issue[];
  readonly warnings: readonly string[];
  /** The variable that gave the value at a path (JSON text of the path); null when the file did. */
  readonly originOf: (path: Path) => string | null;
}

/** Kubernetes sets these for every Service in the namespace; one that is called crossfade gives our prefix. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$/;

/** Variables with our prefix that other parts of Crossfade read. */
const NOT_SETTINGS = new Set(["CROSSFADE_ADMIN_URL"]);

/**
 * Lays the environment over a config tree, in place: first the `KGC_SIDECAR_*` aliases, then `CROSSFADE_*`, last
 * `KGC_SIDECAR_V2_ENABLED=false`, which nothing outvotes. A variable that is set but empty counts as not set. `isUsed`:
 * the file itself names this variable, so that it is no mistake if it matches no setting.
 */
export function applyEnvironment(
  tree: unknown,
  env: Environment,
  isUsed: (name: string) => boolean,
): EnvironmentResult {
  const names = Object.keys(env).filter((name) => (env[name] ?? "") !== "" && isOurs(name));
  const overlay: Overlay = { tree, env, isUsed, issues: [], warnings: [], origins: new Map() };
  const put = (path: Path, value: unknown, name: string): void => {
    putAt(tree, path, value);
    overlay.origins.set(JSON.stringify(path), name);
  };
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) return finished(overlay);
  const kill = applyKgcAliases(tree, env, names.filter(isKgcName), overlay, put);
  for (const name of names.filter((name) => name.startsWith(ENV_PREFIX)).sort()) applyOne(overlay, name, put);
  kill();
  return finished(overlay);
}

interface Overlay {
  readonly tree: unknown;
  readonly env: Environment;
  readonly isUsed: (name: string) => boolean;
  readonly issues: Issue[];
  readonly warnings: string[];
  readonly origins: Map<string, string>;
}

function finished(overlay: Overlay): EnvironmentResult {
  const originOf = (path: Path): string | null =>
    overlay.origins.size === 0 ? null : (overlay.origins.get(JSON.stringify(path)) ?? null);
  return { issues: overlay.issues, warnings: overlay.warnings, originOf };
}

function applyOne(overlay: Overlay, name: string, put: (path: Path, value: string, name: string) => void): void {
  const places = placesOf(configSchema, name.slice(ENV_PREFIX.length), overlay.tree);
  const [place, other] = places;
  if (place === undefined) {
    if (!isForOthers(name) && !overlay.isUsed(name)) overlay.warnings.push(`${name} matches no setting and is ignored`);
    return;
  }
  if (other === undefined) return put(place, overlay.env[name] ?? "", name);
  const message = "is ambiguous: two names in the file give the same variable; rename one";
  overlay.issues.push({ path: [name], value: undefined, message });
}

function isForOthers(name: string): boolean {
  return NOT_SETTINGS.has(name) || SERVICE_LINK.test(`_${name.slice(ENV_PREFIX.length)}`);
}

function isOurs(name: string): boolean {
  return name.startsWith(ENV_PREFIX) || (isKgcName(name) && !SERVICE_LINK.test(name));
}
