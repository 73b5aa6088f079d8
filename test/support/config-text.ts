import assert from "node:assert/strict";
import type { Config } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { Problem } from "../../src/config/parse.ts";

/** A small config that is right, as a JavaScript value that tests may change. */
// oxlint-disable-next-line typescript/no-explicit-any
export function goodConfig(): any {
  return {
    listen: [{ address: "127.0.0.1:8080" }],
    upstreams: { v1: { endpoints: ["http://127.0.0.1:9001"] }, v2: { endpoints: ["http://127.0.0.1:9002"] } },
    segments: { beta: { keys: ["u1"] } },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/api/" },
        split: { baseline: "v1", candidate: "v2", share: "10%", overrides: [{ segment: "beta", to: "candidate" }] },
      },
    ],
  };
}

/** The config of a value or text; fails the test when it is refused. */
export function configFrom(source: unknown, env: Readonly<Record<string, string>> = {}): Config {
  const result = parseConfig(textOf(source), { format: "auto", env });
  assert.deepEqual(result.ok ? [] : result.problems, []);
  assert.ok(result.ok);
  return result.config;
}

/** The warnings of a config that is accepted. */
export function warningsFrom(source: unknown, env: Readonly<Record<string, string>> = {}): readonly string[] {
  const result = parseConfig(textOf(source), { format: "auto", env });
  assert.deepEqual(result.ok ? [] : result.problems, []);
  return result.ok ? result.warnings : [];
}

/** The problems of a config that is refused. */
export function problemsFrom(source: unknown, env: Readonly<Record<string, string>> = {}): readonly Problem[] {
  const result = parseConfig(textOf(source), { format: "auto", env });
  assert.ok(!result.ok, "the config was accepted");
  return result.problems;
}

/** Problems as they are read: `path: value message`. */
export function sentences(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ path, value, message }) => `${path}: ${value === "" ? "" : `${value} `}${message}`);
}

/** A change of `goodConfig()`. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Change = (config: any) => void;

/** A mistake by name, how it is made, and everything that is said of it, without lines. */
export type Mistake = readonly [name: string, change: Change, ...told: string[]];

/** Everything that is said of the good config after a change, without lines, sorted. */
export function toldOf(change: Change): readonly string[] {
  const config = goodConfig();
  change(config);
  return sentences(problemsFrom(config))
    .map((sentence) => sentence.replace(/ \(line \d+\)$/, ""))
    .sort();
}

function textOf(source: unknown): string {
  return typeof source === "string" ? source : JSON.stringify(source, null, 1);
}
