import { z } from "zod";
import type { $ZodType } from "zod/v4/core";

/** What a place in the config holds, without its wrappers (optional, default, transform). */
export type Shape =
  | { readonly kind: "map"; readonly fields: Readonly<Record<string, $ZodType>> }
  | { readonly kind: "names"; readonly value: $ZodType }
  | { readonly kind: "list"; readonly element: $ZodType }
  | { readonly kind: "either"; readonly options: readonly $ZodType[] }
  | { readonly kind: "leaf" };

/** What the reference says of a place. */
export interface FieldNotes {
  readonly title: string;
  readonly description: string;
  readonly required: boolean;
  /** Default as written in a file; undefined when there is none. */
  readonly fallback: unknown;
}

/** Steps to a place: map keys and list indices. */
export type Path = readonly (string | number)[];

/** Takes the wrappers off and says what is inside. */
export function shapeOf(schema: $ZodType): Shape {
  if (schema instanceof z.ZodObject) return { kind: "map", fields: schema.shape };
  if (schema instanceof z.ZodRecord) return { kind: "names", value: schema.valueType };
  if (schema instanceof z.ZodArray) return { kind: "list", element: schema.element };
  if (schema instanceof z.ZodUnion) return { kind: "either", options: schema.options };
  const inner = innerOf(schema);
  return inner === null ? { kind: "leaf" } : shapeOf(inner);
}

/** Title, description and default of a place. */
export function notesOf(schema: $ZodType): FieldNotes {
  let title = "";
  let description = "";
  let required = true;
  let fallback: unknown;
  for (let at: $ZodType | null = schema; at !== null; at = innerOf(at)) {
    const meta = z.globalRegistry.get(at);
    if (title === "") title = meta?.title ?? "";
    if (description === "") description = meta?.description ?? "";
    if (at instanceof z.ZodOptional || at instanceof z.ZodPrefault) required = false;
    if (at instanceof z.ZodPrefault) fallback = at.def.defaultValue;
  }
  return { title, description, required, fallback };
}

/** The schema at a path; null when the path leaves the schema. Of an either-or, the first option that goes on. */
export function schemaAt(root: $ZodType, path: Path): $ZodType | null {
  let at: $ZodType | null = root;
  for (const step of path) {
    if (at === null) return null;
    at = childOf(at, step);
  }
  return at;
}

/** Keys that a map may have at this path; none when it is no map. */
export function knownKeys(root: $ZodType, path: Path): readonly string[] {
  const schema = schemaAt(root, path);
  return schema === null ? [] : fieldNames(schema);
}

function childOf(schema: $ZodType, step: string | number): $ZodType | null {
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case "map":
      return Object.hasOwn(shape.fields, step) ? (shape.fields[step] ?? null) : null;
    case "names":
      return shape.value;
    case "list":
      return shape.element;
    case "either":
      return shape.options.map((option) => childOf(option, step)).find((child) => child !== null) ?? null;
    case "leaf":
      return null;
  }
}

function fieldNames(schema: $ZodType): readonly string[] {
  const shape = shapeOf(schema);
  if (shape.kind === "map") return Object.keys(shape.fields);
  return shape.kind === "either" ? shape.options.flatMap(fieldNames) : [];
}

function innerOf(schema: $ZodType): $ZodType | null {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return schema.def.innerType;
  return schema instanceof z.ZodPipe ? schema.def.in : null;
}
