import type { $ZodType } from "zod/v4/core";
import { shapeOf } from "./schema-walk.ts";
import type { Path, Shape } from "./schema-walk.ts";

/** Begins every variable of the overlay. */
export const ENV_PREFIX = "CROSSFADE_";

/** A setting's or name's part of a variable: `headerTimeout` → `HEADER_TIMEOUT`, `x-tenant` → `X_TENANT`. */
export function envWord(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .toUpperCase();
}

/**
 * Every place that a variable may mean: `rest` is its name without the prefix. Names (upstreams, segments, headers) and
 * routes must be in `tree` already; a list by number may grow by one.
 */
export function placesOf(schema: $ZodType, rest: string, tree: unknown): Path[] {
  return follow(shapeOf(schema), { rest, tree, path: [] });
}

/** How far a variable's name has been followed. */
interface Cursor {
  readonly rest: string;
  readonly tree: unknown;
  readonly path: Path;
}

function follow(shape: Shape, at: Cursor): Path[] {
  switch (shape.kind) {
    case "leaf":
      return at.rest === "" ? [at.path] : [];
    case "map":
      return Object.entries(shape.fields).flatMap(([key, field]) => step(field, key, envWord(key), at));
    case "names":
      return Object.keys(isTree(at.tree) ? at.tree : {}).flatMap((key) => step(shape.value, key, envWord(key), at));
    case "list":
      return followList(shape.element, at);
    case "either":
      return shape.options.flatMap((option) => follow(shapeOf(option), at));
  }
}

/** Entries that have a name go by it, others by their number. */
function followList(element: $ZodType, at: Cursor): Path[] {
  const items: readonly unknown[] = Array.isArray(at.tree) ? at.tree : [];
  if (isNamed(element)) {
    return items.flatMap((item, index) => {
      const name = isTree(item) && typeof item["name"] === "string" ? item["name"] : null;
      return name === null ? [] : step(element, index, envWord(name), at);
    });
  }
  const digits = /^\d{1,6}/.exec(at.rest)?.[0];
  if (digits === undefined || Number(digits) > items.length) return [];
  return step(element, Number(digits), digits, at);
}

function step(schema: $ZodType, key: string | number, word: string, { rest, tree, path }: Cursor): Path[] {
  if (word === "" || !rest.startsWith(word)) return [];
  const after = rest.slice(word.length);
  if (after !== "" && !after.startsWith("_")) return [];
  return follow(shapeOf(schema), { rest: after.slice(1), tree: childOf(tree, key), path: [...path, key] });
}

function isNamed(element: $ZodType): boolean {
  const shape = shapeOf(element);
  return shape.kind === "map" && Object.hasOwn(shape.fields, "name");
}

function childOf(tree: unknown, key: string | number): unknown {
  return isTree(tree) && Object.hasOwn(tree, key) ? tree[key] : undefined;
}

function isTree(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}
