import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import type { StateEvent } from "../../src/base/state-event.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { CellTable } from "../../src/control/cell-table.ts";
import type { GoodReading } from "../../src/control/config-reading.ts";
import { openSnapshotStore } from "../../src/control/snapshot-store.ts";
import type { SnapshotStore, StoreOptions } from "../../src/control/snapshot-store.ts";
import { memoryAuditLog } from "../../src/journal/audit-log.ts";
import type { OverlayFile } from "../../src/journal/overlay-file.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import type { Overlay } from "../../src/model/overlay.ts";
import type { Cause } from "../../src/model/snapshot.ts";
import type { Scope } from "./scope.ts";
import { changed } from "./until.ts";

/** A clock that stands still until it is moved. */
export interface FakeClock extends Clock {
  advance(ms: number): void;
}

/** A clock at 2026-01-01T00:00:00Z. */
export function fakeClock(): FakeClock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    wallMs: () => Date.UTC(2026, 0, 1) + nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

/** A folder of its own that is removed when the scope ends. */
export function useFolder(scope: Scope): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "crossfade-control-"));
  scope.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A route of a config for tests; `candidate: null` = none. */
export interface PlainRoute {
  readonly name: string;
  readonly share?: string;
  readonly candidate?: string | null;
  readonly salt?: string;
}

/** The text of a config with these routes over the upstreams v1, v2 and v3; `over` replaces whole sections. */
export function configText(routes: readonly PlainRoute[], over: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    listen: [{ address: "127.0.0.1:0" }],
    upstreams: {
      v1: { endpoints: ["http://127.0.0.1:9001"] },
      v2: { endpoints: ["http://127.0.0.1:9002"] },
      v3: { endpoints: ["http://127.0.0.1:9003"] },
    },
    routes: routes.map(({ name, share = "10%", candidate = "v2", salt }) => ({
      name,
      match: { pathPrefix: `/${name}/` },
      split: { baseline: "v1", ...(candidate !== null && { candidate, share }), ...(salt !== undefined && { salt }) },
    })),
    ...over,
  });
}

/** A reading of a text that parses. */
export function readingOf(text: string, files: ReadonlyMap<string, string> = new Map()): GoodReading {
  const parsed = parseConfig(text, { format: "auto", env: {} });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const hash = createHash("sha256")
    .update(text)
    .update(JSON.stringify([...files]))
    .digest("hex");
  return { ok: true, hash, text, config: parsed.config, files, warnings: parsed.warnings, paths: ["/config.yaml"] };
}

/** A cause for tests. */
export function causeOf(action: string, actor = "ann", reason = "a test"): Cause {
  return { by: "admin", actor, reason, action };
}

/** An overlay file that obeys the test: it can fail, and it can hold saves back. */
export class WilfulOverlayFile implements OverlayFile {
  readonly durable = true;
  /** What is on the disk. */
  saved: Overlay;
  /** Saves that will fail. */
  failures = 0;
  /** Saves that were begun. */
  begun = 0;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => {};
  #turn: Promise<void> = Promise.resolve();

  constructor(saved: Overlay = EMPTY_OVERLAY) {
    this.saved = saved;
  }

  /** Saves wait from now on until `release`. */
  hold(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    this.#open = resolve;
  }

  release(): void {
    this.#open();
  }

  async load(): Promise<Overlay> {
    return this.saved;
  }

  save(overlay: Overlay): Promise<void> {
    this.begun++;
    changed();
    const write = async (): Promise<void> => {
      await this.#gate;
      if (this.failures > 0) {
        this.failures--;
        throw new Error("ENOSPC: no space left on device");
      }
      this.saved = overlay;
      changed();
    };
    const saved = this.#turn.then(write, write);
    this.#turn = saved;
    saved.catch(() => {});
    return saved;
  }
}

/** A store and everything around it, for tests. */
export interface StoreBench {
  readonly store: SnapshotStore;
  readonly cells: CellTable;
  readonly file: WilfulOverlayFile;
  readonly events: StateEvent[];
  readonly clock: FakeClock;
  readonly options: StoreOptions;
}

/** Opens a store on a config text; `over` replaces parts of what it works with. */
export async function openBench(
  scope: Scope,
  text: string,
  over: Partial<StoreOptions> & { readonly file?: WilfulOverlayFile } = {},
): Promise<StoreBench> {
  const clock = fakeClock();
  const { file = new WilfulOverlayFile(), ...rest } = over;
  const events: StateEvent[] = [];
  const cells = rest.cells ?? new CellTable(64);
  const options: StoreOptions = {
    clock,
    cells,
    overlayFile: file,
    auditLog: memoryAuditLog(),
    onEvent: (event) => {
      events.push(event);
      changed();
    },
    retryDelays: { firstMs: 1, maxMs: 4 },
    ...rest,
  };
  const opened = await openSnapshotStore(readingOf(text), causeOf("start"), options);
  assert.ok(opened.ok, JSON.stringify(opened));
  scope.after(() => opened.store.close());
  return { store: opened.store, cells, file, events, clock, options };
}
