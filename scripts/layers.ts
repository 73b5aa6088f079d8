import { builtinModules } from "node:module";

/**
 * The one table of floors. `npm run lint` generates its import rules from it; test/unit/layers.test.ts plants a
 * violation in each direction and expects the linter to see it.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ["base"],
  ["model"],
  ["config", "policy", "codec"],
  ["transport", "journal", "telemetry"],
  ["proxy"],
  ["control"],
  ["admin"],
];

/** Folders whose code is pure: no clock, chance, timer, process, socket or logger. */
export const PURE_FOLDERS: readonly string[] = ["base", "model", "config", "policy", "codec"];

/** Modules that a pure folder may import from Node. Everything else of Node does I/O or reads the world. */
export const PURE_NODE_MODULES: readonly string[] = ["node:crypto", "node:stream"];

/** Globals that read the world. */
const IMPURE_GLOBALS = [
  "process",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "performance",
  "fetch",
  "console",
  "WebSocket",
  "crypto",
  "globalThis",
  "global",
  "require",
];

const IMPURE_PROPERTIES = [
  { object: "Date", property: "now", message: "Take a Clock by parameter." },
  { object: "Math", property: "random", message: "Take a Random by parameter." },
];

interface Override {
  files: string[];
  rules: Record<string, unknown>;
}

/** The oxlint overrides that the table means. */
export function layerOverrides(): Override[] {
  const overrides: Override[] = [];
  for (const [floor, folders] of FLOORS.entries()) {
    for (const folder of folders) overrides.push(overrideFor(folder, floor));
  }
  return overrides;
}

function overrideFor(folder: string, floor: number): Override {
  const pure = PURE_FOLDERS.includes(folder);
  const rules: Record<string, unknown> = {
    "no-restricted-imports": ["error", { patterns: importPatterns(folder, floor, pure) }],
  };
  if (pure) {
    rules["no-restricted-globals"] = ["error", ...IMPURE_GLOBALS];
    rules["no-restricted-properties"] = ["error", ...IMPURE_PROPERTIES];
  }
  return { files: [`src/${folder}/**/*.ts`], rules };
}

function importPatterns(folder: string, floor: number, pure: boolean): object[] {
  const forbidden = FLOORS.flatMap((names, other) => (other >= floor ? names.filter((name) => name !== folder) : []));
  const patterns: object[] = [];
  const group = [...forbidden.map((name) => `**/${name}/*`), "**/main.ts", "**/*-thread.ts", "**/cli/*"];
  patterns.push({ group, message: `${folder}/ is on floor ${floor}: it imports itself and lower floors only.` });
  if (pure) {
    patterns.push({
      group: [...impureNodeModules(), "undici", "pino", "prom-client", "http-proxy-3"],
      message: `${folder}/ is pure: no sockets, files, timers or logger.`,
    });
  }
  return patterns;
}

function impureNodeModules(): string[] {
  const bare = builtinModules.filter((name) => !name.startsWith("node:"));
  const prefixed = builtinModules.map((name) => (name.startsWith("node:") ? name : `node:${name}`));
  return [...bare, ...prefixed].filter((name) => !PURE_NODE_MODULES.includes(name));
}
