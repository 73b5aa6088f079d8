import type { Path } from "./schema-walk.ts";

/** A map of the config as read: any key, any value. */
export type TreeMap = Record<string, unknown>;

/** The value as a map; null when it is none. */
export function mapOf(value: unknown): TreeMap | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as TreeMap) : null;
}

/** The value as a list; empty when it is none. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Entries of a map; none when the value is no map. */
export function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  const map = mapOf(value);
  return map === null ? [] : Object.entries(map);
}

/** The value at a key of a map; undefined when there is no such key or no map. */
export function fieldOf(value: unknown, key: string): unknown {
  const map = mapOf(value);
  return map !== null && Object.hasOwn(map, key) ? map[key] : undefined;
}

/** The map with its keys in lower case. */
export function lowerKeys<T>(map: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name.toLowerCase(), value]));
}

/** The map without what is absent. */
export function defined(map: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null));
}

/** Puts a value at a path of a tree, in place; maps and lists that are missing on the way, or of another kind, are made. */
export function putAt(tree: unknown, path: Path, value: unknown): void {
  let at = tree as Record<string | number, unknown>;
  for (const [index, step] of path.entries()) {
    const next = path[index + 1];
    if (next === undefined) {
      at[step] = value;
      return;
    }
    if (!isContainer(at[step], next)) at[step] = typeof next === "number" ? [] : Object.create(null);
    at = at[step] as Record<string | number, unknown>;
  }
}

function isContainer(value: unknown, step: string | number): boolean {
  return typeof step === "number" ? Array.isArray(value) : mapOf(value) !== null;
}
