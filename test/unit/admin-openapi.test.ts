import assert from "node:assert/strict";
import { test } from "node:test";
import { ADMIN_ROWS } from "../../src/admin/handlers.ts";
import { OPENAPI } from "../../src/admin/openapi.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
  readonly requestBody?: unknown;
}

function operations(): readonly (readonly [string, Operation])[] {
  return Object.entries(OPENAPI.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation as Operation] as const,
    ),
  );
}

test("every row of the route table is described, and nothing else is", () => {
  const rows = ADMIN_ROWS.map(({ method, path, operationId }) => `${method} ${path} ${operationId}`);
  const described = operations().map(([place, { operationId }]) => `${place} ${operationId}`);
  assert.deepEqual(described.toSorted(), rows.toSorted());
});

test("every path parameter is described, and every operation says what else it answers", () => {
  for (const [place, { parameters = [], responses }] of operations()) {
    const inPath = [...place.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const described = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
    assert.deepEqual(described, inPath, place);
    assert.ok("200" in responses, place);
    assert.equal("401" in responses, place !== "GET /", place);
  }
});

test("only operations that change something take a body", () => {
  for (const [place, { requestBody }] of operations()) {
    assert.equal(requestBody !== undefined, !place.startsWith("GET"), place);
  }
});

test("every reference leads somewhere, and every schema is used", () => {
  const text = JSON.stringify(OPENAPI);
  const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name));
  assert.deepEqual([...used].toSorted(), Object.keys(OPENAPI.components.schemas).toSorted());
});
