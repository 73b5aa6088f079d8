import type { $ZodType } from "zod/v4/core";
import { notesOf, shapeOf } from "./schema-walk.ts";

/** One line of the config reference. */
export interface ReferenceRow {
  /** `listen[].address`, `upstreams.*.timeouts.connect`: `[]` = each entry, `*` = each name. */
  readonly path: string;
  /** Kind of value: `duration`, `list`, `map`, `a | b`. */
  readonly title: string;
  /** Default as written in a file; `required`; empty when absent means something else, which the description says. */
  readonly fallback: string;
  readonly description: string;
}

/** Every place of the schema, in its order, parents before children. */
export function referenceRows(schema: $ZodType, path = ""): ReferenceRow[] {
  const shape = shapeOf(schema);
  const own = path === "" ? [] : [rowOf(schema, path)];
  switch (shape.kind) {
    case "leaf":
      return own;
    case "map": {
      const prefix = path === "" ? "" : `${path}.`;
      return [...own, ...Object.entries(shape.fields).flatMap(([key, field]) => referenceRows(field, prefix + key))];
    }
    case "names":
      return [...own, ...referenceRows(shape.value, `${path}.*`)];
    case "list":
      return [...own, ...referenceRows(shape.element, `${path}[]`)];
    case "either":
      return [
        ...own,
        ...shape.options.flatMap((option) => referenceRows(option, path).filter((row) => row.path !== path)),
      ];
  }
}

/** The reference as a Markdown table. */
export function referenceTable(schema: $ZodType): string {
  const rows = referenceRows(schema).map(({ path, title, fallback, description }) => {
    const cells = [
      `\`${path}\``,
      title,
      fallback === "" || fallback === "required" ? fallback : `\`${fallback}\``,
      description,
    ];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return ["| setting | value | default | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}

function rowOf(schema: $ZodType, path: string): ReferenceRow {
  const { title, description, required, fallback } = notesOf(schema);
  const isEntry = path.endsWith("*") || path.endsWith("]");
  return {
    path,
    title: title === "" ? kindOf(schema) : title,
    fallback: fallbackText(fallback, required && !isEntry),
    description,
  };
}

function kindOf(schema: $ZodType): string {
  const shape = shapeOf(schema);
  if (shape.kind === "list") return "list";
  if (shape.kind !== "either") return "map";
  return shape.options.map((option) => notesOf(option).title).find((title) => title !== "") ?? "map";
}

/** A section whose parts have defaults has none of its own. */
function fallbackText(fallback: unknown, required: boolean): string {
  if (required) return "required";
  if (fallback === undefined || isEmptyMap(fallback)) return "";
  return typeof fallback === "string" ? fallback : JSON.stringify(fallback);
}

function isEmptyMap(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}
