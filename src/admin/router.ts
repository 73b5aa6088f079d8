import { AdminError } from "./reply.ts";

/** A row of the route table; `{name}` in a path takes one segment. */
export interface RouteRow {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
}

/** A row that fits a request, and what its path parameters hold. */
export interface RouteMatch<Row> {
  readonly row: Row;
  readonly params: Readonly<Record<string, string>>;
}

/** The row for a request; throws AdminError 404 or 405. HEAD is served by the GET row. */
export function findRow<Row extends RouteRow>(rows: readonly Row[], method: string, path: string): RouteMatch<Row> {
  const segments = segmentsOf(path);
  const wanted = method === "HEAD" ? "GET" : method;
  const allowed = new Set<string>();
  for (const row of rows) {
    const params = paramsOf(row.path.split("/"), segments);
    if (params === null) continue;
    if (row.method === wanted) return { row, params };
    allowed.add(row.method);
    if (row.method === "GET") allowed.add("HEAD");
  }
  if (allowed.size === 0) throw new AdminError(404, "not_found", `There is nothing at ${path.slice(0, 200)}.`);
  const allow = [...allowed].join(", ");
  throw new AdminError(405, "method_not_allowed", `${method} is not served here; allowed: ${allow}.`, {
    headers: { allow },
  });
}

function segmentsOf(path: string): readonly string[] {
  try {
    return path.split("/").map(decodeURIComponent);
  } catch {
    throw new AdminError(400, "bad_path", "The path holds a malformed % escape.");
  }
}

function paramsOf(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] as string;
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name !== undefined && segment !== "") params[name] = segment;
    else if (part !== segment) return null;
  }
  return params;
}
