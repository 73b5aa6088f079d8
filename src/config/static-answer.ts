import type { FallbackStep } from "../model/snapshot.ts";
import type { Config, FallbackConfig } from "./config.ts";
import type { Problem } from "./parse.ts";

/** Largest file that a static fallback answers with, in bytes: it is kept in every data thread. */
const MAX_BODY_FILE_BYTES = 1_048_576;

type StaticConfig = Extract<FallbackConfig, { readonly kind: "static" }>;

/** A static fallback with its body read and its content-type said. `files`: texts by path as written. */
export function staticAnswer(step: StaticConfig, files: ReadonlyMap<string, string>): FallbackStep {
  const { kind, status, bodyFile } = step;
  const text = bodyFile === null ? (step.body ?? "") : (files.get(bodyFile) ?? "");
  const isTyped = text === "" || step.headers.some((name, index) => index % 2 === 0 && name === "content-type");
  const headers = isTyped ? step.headers : ["content-type", typeOf(text), ...step.headers];
  // One character per byte, as all text on the road.
  return { kind, status, headers, body: Buffer.from(text).toString("latin1") };
}

/** Body files that are larger than what is kept in every data thread. */
export function checkBodyFiles(config: Config, files: ReadonlyMap<string, string>): readonly Problem[] {
  return config.routes.flatMap(({ fallback }, index) =>
    fallback.flatMap((step, rung) => {
      const file = step.kind === "static" ? step.bodyFile : null;
      const bytes = file === null ? 0 : Buffer.byteLength(files.get(file) ?? "");
      if (file === null || bytes <= MAX_BODY_FILE_BYTES) return [];
      const path = `routes[${index}].fallback[${rung}].static.bodyFile`;
      const message = `has ${bytes} bytes; allowed: ${MAX_BODY_FILE_BYTES} or fewer`;
      return [{ path, value: JSON.stringify(file), message }];
    }),
  );
}

function typeOf(text: string): string {
  try {
    JSON.parse(text);
    return "application/json";
  } catch {
    return "text/plain; charset=utf-8";
  }
}
