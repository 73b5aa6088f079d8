import stableStringify from "fast-json-stable-stringify";
import type { Config } from "../config/config.ts";
import type { ListenerSpec } from "../model/snapshot.ts";

/** The settings of `wanted` that differ from what the process was started with and that a reload cannot change. */
export function settingsThatNeedRestart(started: Config, wanted: Config): readonly string[] {
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ["listen", shapesOf(started.listeners), shapesOf(wanted.listeners)],
    ["engine", started.engine, wanted.engine],
    ["admin", started.admin, wanted.admin],
    ["metrics", started.metrics, wanted.metrics],
    ["runtime.threads", started.runtime.threads, wanted.runtime.threads],
    ["runtime.stateDir", started.runtime.stateDir, wanted.runtime.stateDir],
  ];
  return pairs.filter(([, before, after]) => !same(before, after)).map(([setting]) => setting);
}

/**
 * The listeners to compile for: `wanted` while they are the ones that are open, else the open ones, because TLS
 * material goes to listeners by index. New certificate paths of an open listener are taken over.
 */
export function openListeners(open: readonly ListenerSpec[], wanted: readonly ListenerSpec[]): readonly ListenerSpec[] {
  return same(shapesOf(open), shapesOf(wanted)) ? wanted : open;
}

/** `files`, and those of the open listeners that a new text may no longer name. */
export function withListenerFiles(
  files: ReadonlyMap<string, string>,
  listeners: readonly ListenerSpec[],
  older: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const all = new Map(files);
  for (const { tls } of listeners) {
    for (const path of [tls?.certFile, tls?.keyFile, tls?.clientCaFile]) {
      const text = typeof path === "string" && !all.has(path) ? older.get(path) : undefined;
      if (text !== undefined) all.set(path as string, text);
    }
  }
  return all;
}

/** What of a listener is fixed once it is open. */
function shapesOf(listeners: readonly ListenerSpec[]): unknown {
  return listeners.map(({ host, port, tls }) => ({
    host,
    port,
    tls: tls !== null,
    clientCa: tls !== null && tls.clientCaFile !== null,
  }));
}

function same(before: unknown, after: unknown): boolean {
  return stableStringify(before) === stableStringify(after);
}
