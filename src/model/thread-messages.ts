import type { Engine, ListenerSpec, Snapshot } from "./snapshot.ts";

/** What a data thread is given at its start, by structured clone. */
export interface DataThreadStart {
  readonly index: number;
  /** Data threads in all. */
  readonly threads: number;
  readonly listeners: readonly ListenerSpec[];
  readonly engine: Engine;
  readonly snapshot: Snapshot;
  readonly pages: readonly SharedArrayBuffer[];
  readonly words: SharedArrayBuffer;
  readonly gates: SharedArrayBuffer;
}

/** Control to data. The `access` port comes with its own message, transferred. */
export type ToDataThread =
  | { readonly type: "snapshot"; readonly snapshot: Snapshot; readonly pages: readonly SharedArrayBuffer[] }
  | { readonly type: "access-port"; readonly port: unknown }
  | { readonly type: "announce-drain" }
  | { readonly type: "drain"; readonly deadlineMs: number };

/** Data to control. */
export type FromDataThread =
  | { readonly type: "listening"; readonly ports: readonly number[] }
  | { readonly type: "refused"; readonly error: string }
  | { readonly type: "applied"; readonly generation: number }
  | { readonly type: "drained" };

/** Control to lab: a port per data thread, transferred; batches come through it and counts go back. */
export type ToLabThread = { readonly type: "access-port"; readonly port: unknown } | { readonly type: "stop" };
