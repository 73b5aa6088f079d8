import stableStringify from "fast-json-stable-stringify";
import { packControlWord } from "../base/cells.ts";
import type { Clock } from "../base/clock.ts";
import { deepFreeze } from "../base/deep-freeze.ts";
import type { StateEventSink } from "../base/state-event.ts";
import { sectionDigests } from "../config/compile.ts";
import type { SnapshotDraft } from "../config/compile.ts";
import type { Config } from "../config/config.ts";
import type { AuditLog } from "../journal/audit-log.ts";
import type { OverlayFile } from "../journal/overlay-file.ts";
import { reconcileOverlay } from "../model/overlay.ts";
import type { Overlay } from "../model/overlay.ts";
import type { Cause, RouteCells, RouteSpec, Snapshot } from "../model/snapshot.ts";
import type { CellTable } from "./cell-table.ts";
import { changeBetween } from "./change-note.ts";
import type { ConfigReading, GoodReading } from "./config-reading.ts";
import { draftFromIntent } from "./draft.ts";
import { applyEdit, refusal } from "./edit.ts";
import type { Edit, Intent, Refusal } from "./edit.ts";
import { OverlayWriter } from "./overlay-writer.ts";
import type { RetryDelays } from "./overlay-writer.ts";
import { ReloadRecord } from "./reload-record.ts";
import type { LastReload, ReloadCounts } from "./reload-record.ts";
import { settingsThatNeedRestart } from "./restart-needed.ts";
import { auditFailedEvent, eventsOfChange, overlayEndedEvent, refusedEvent, unchangedEvent } from "./store-events.ts";
import type { AcceptedChange } from "./store-events.ts";
import { isUrgent, UrgencyLog } from "./urgency.ts";

/** What became of a proposal. */
export type ProposeResult = Accepted | Refusal;

/** An accepted proposal. */
export interface Accepted {
  readonly ok: true;
  /** `unchanged`: what was asked is in force already, so no generation was made. */
  readonly outcome: "applied" | "unchanged";
  /** The snapshot in force after it. */
  readonly snapshot: Snapshot;
  /** `later`: visible first, being written in the background. `never`: there is no state folder. */
  readonly durable: "now" | "later" | "never";
  readonly warnings: readonly string[];
}

/** What the store works with. */
export interface StoreOptions {
  readonly clock: Clock;
  readonly cells: CellTable;
  readonly overlayFile: OverlayFile;
  readonly auditLog: AuditLog;
  readonly onEvent: StateEventSink;
  /** Between tries to write the overlay in the background. */
  readonly retryDelays?: RetryDelays;
}

/**
 * Loads the overlay and makes generation 1 of a config. A refusal means that the config does not compile; a damaged
 * overlay file rejects with OverlayFileError.
 */
export async function openSnapshotStore(
  reading: GoodReading,
  cause: Cause,
  options: StoreOptions,
): Promise<{ readonly ok: true; readonly store: SnapshotStore } | Refusal> {
  const { hash, config, files } = reading;
  const digests = sectionDigests(config);
  const { overlay, ended } = reconcileOverlay(await options.overlayFile.load(), digests);
  const intent: Intent = { hash, config, listeners: config.listeners, files, digests, overlay };
  const compiled = draftFromIntent(intent, options.cells.capacity);
  if (!compiled.ok) return compiled;
  return { ok: true, store: new SnapshotStore({ intent, draft: compiled.draft, ended }, cause, options) };
}

/**
 * The one place where what the data threads do is decided. Reload, change by hand, rollback and kill are the same
 * operation, `propose(cause, edit)`: edit the intent, compile it, make it durable, make it visible.
 *
 *   propose ──queue──▶ edit ─▶ compile ─▶ overlay on disk ─▶ words, snapshot ─▶ subscribers     durable first
 *   rollback, kill ──▶ edit ─▶ words ─▶ compile ─▶ snapshot ─▶ subscribers ─▶ overlay on disk    visible first
 *
 * The second line runs inside the call, before any await, also while the first is waiting for the disk. Then the
 * first begins again from what is in force now, and is refused where it would undo what was asked after it.
 */
export class SnapshotStore {
  readonly #options: StoreOptions;
  readonly #started: Config;
  readonly #writer: OverlayWriter;
  readonly #urgency = new UrgencyLog();
  readonly #reloads: ReloadRecord;
  readonly #subscribers = new Set<(snapshot: Snapshot) => void>();
  #state: StoreState;
  #queue: Promise<unknown> = Promise.resolve();
  #tickets = 0;
  #closed = false;

  /** Use `openSnapshotStore`. */
  constructor(first: FirstState, cause: Cause, options: StoreOptions) {
    const { clock, overlayFile, onEvent, retryDelays } = options;
    this.#options = options;
    this.#started = first.intent.config;
    this.#reloads = new ReloadRecord(clock.wallMs());
    this.#writer = new OverlayWriter(overlayFile, () => this.overlay, onEvent, retryDelays);
    this.#state = { intent: first.intent, snapshot: this.#snapshotOf(first.draft, 1, cause) };
    this.#storeWords(this.#state.snapshot);
    if (first.ended.length > 0) {
      onEvent(overlayEndedEvent(first.ended, 1));
      this.#writer.saveSoon();
    }
    void this.#audit(cause, null, { config: first.intent.hash }, 1);
  }

  /** The snapshot in force. */
  get current(): Snapshot {
    return this.#state.snapshot;
  }

  /** The config in force, as accepted last; listeners and the like may need a restart, see `restartNeeded`. */
  get config(): Config {
    return this.#state.intent.config;
  }

  /** What was changed at run time and is in force. */
  get overlay(): Overlay {
    return this.#state.intent.overlay;
  }

  /** Settings of the accepted config that only a restart brings into force. */
  get restartNeeded(): readonly string[] {
    return settingsThatNeedRestart(this.#started, this.config);
  }

  /** How the last reload ended. */
  get lastReload(): LastReload {
    return this.#reloads.last;
  }

  /** How many reloads ended how. */
  get reloadCounts(): ReloadCounts {
    return this.#reloads.counts;
  }

  /** The overlay in force is not on disk yet, though it should be. */
  get overlayIsBehind(): boolean {
    return this.#writer.isBehind;
  }

  /** Hears every snapshot from the next on, synchronously, in the order told; gives back how to stop. */
  subscribe(onSnapshot: (snapshot: Snapshot) => void): () => void {
    this.#subscribers.add(onSnapshot);
    return () => this.#subscribers.delete(onSnapshot);
  }

  /** Proposes an edit; what is refused changes nothing. Rollback and kill are in force when this call returns. */
  async propose(cause: Cause, edit: Edit): Promise<ProposeResult> {
    const ticket = ++this.#tickets;
    if (this.#closed) return refusal("closed", "", cause.action, "came after the store was closed");
    if (isUrgent(edit)) return this.#acceptUrgent(cause, edit, ticket);
    const result = this.#queue.then(() => this.#acceptInTurn(cause, edit, ticket));
    this.#queue = result.catch(() => {});
    return result;
  }

  /** A reload: proposes what was read, or counts why it cannot be used. */
  async reload(cause: Cause, reading: ConfigReading): Promise<ProposeResult> {
    const result: ProposeResult = reading.ok
      ? await this.propose(cause, { kind: "config", reading })
      : { ok: false, code: "invalid_config", problems: reading.problems };
    this.#noteReload(cause, result);
    return result;
  }

  /** Resolves when nothing waits for the disk. */
  async idle(): Promise<void> {
    await this.#queue;
    await this.#writer.idle();
  }

  /** Refuses further proposals, finishes those under way and tries once more to write what is behind. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    await this.#writer.close();
  }

  #acceptUrgent(cause: Cause, edit: Edit, ticket: number): ProposeResult {
    const before = this.#state;
    const edited = applyEdit(before.intent, before.snapshot, edit, cause, this.#options.clock.wallMs());
    if (!edited.ok) return edited;
    this.#urgency.note(edit, ticket);
    if (!edited.changed) return this.#unchanged();
    this.#storeUrgentWords(edit);
    const compiled = draftFromIntent(edited.intent, this.#options.cells.capacity);
    if (!compiled.ok) throw new Error(`a config in force no longer compiles: ${JSON.stringify(compiled.problems)}`);
    this.#publish(edited.intent, compiled.draft, cause);
    this.#writer.saveSoon();
    void this.#announce(before, { edit, cause, ended: [], warnings: [] });
    return this.#applied(this.#options.overlayFile.durable ? "later" : "never", []);
  }

  async #acceptInTurn(cause: Cause, edit: Edit, ticket: number): Promise<ProposeResult> {
    for (;;) {
      const before = this.#state;
      if (this.#urgency.outranks(edit, ticket)) {
        return refusal("superseded", "", cause.action, "was overtaken by a rollback or kill that was asked later");
      }
      const intent = this.#intentFor(edit, ticket);
      const edited = applyEdit(intent, before.snapshot, edit, cause, this.#options.clock.wallMs());
      if (!edited.ok) return edited;
      if (!edited.changed) return this.#unchanged();
      const compiled = draftFromIntent(edited.intent, this.#options.cells.capacity);
      if (!compiled.ok) return compiled;
      const written = await this.#makeDurable(before.intent.overlay, edited.intent.overlay);
      if (!written.ok) return written;
      // A rollback or a kill came in while the disk was busy: begin again from what is in force now.
      if (this.#state !== before) continue;
      this.#publish(edited.intent, compiled.draft, cause);
      this.#writer.onPublished();
      const warnings = edit.kind === "config" ? edit.reading.warnings : [];
      await this.#announce(before, { edit, cause, ended: edited.ended, warnings });
      return this.#applied(this.#options.overlayFile.durable ? "now" : "never", warnings);
    }
  }

  /** The intent that an edit starts from: a later rollback holds against a config that was proposed before it. */
  #intentFor(edit: Edit, ticket: number): Intent {
    const { intent } = this.#state;
    if (edit.kind !== "config") return intent;
    const digests = sectionDigests(edit.reading.config);
    return { ...intent, overlay: this.#urgency.keepLaterRollbacks(intent.overlay, digests, ticket) };
  }

  async #makeDurable(before: Overlay, after: Overlay): Promise<{ readonly ok: true } | Refusal> {
    if (stableStringify(before) === stableStringify(after)) return { ok: true };
    try {
      await this.#writer.save(after);
      return { ok: true };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return refusal(
        "not_durable",
        "runtime.stateDir",
        this.#started.runtime.stateDir ?? "",
        `cannot be written: ${why}`,
      );
    }
  }

  /** From here to the last subscriber nothing waits: no thread sees half of a generation. */
  #publish(intent: Intent, draft: SnapshotDraft, cause: Cause): void {
    const snapshot = this.#snapshotOf(draft, this.#state.snapshot.generation + 1, cause);
    this.#state = { intent, snapshot };
    this.#storeWords(snapshot);
    for (const onSnapshot of this.#subscribers) onSnapshot(snapshot);
  }

  #snapshotOf(draft: SnapshotDraft, generation: number, cause: Cause): Snapshot {
    const cells = this.#options.cells.assign(draft.routes);
    const routes = draft.routes.map((route, index) => ({ ...route, cells: cells[index] as RouteCells }));
    const upstreams = draft.upstreams.map((upstream) => ({
      ...upstream,
      cells: this.#options.cells.assignUpstream(upstream),
    }));
    return deepFreeze({ ...draft, generation, cause, routes, upstreams });
  }

  #storeWords(snapshot: Snapshot): void {
    for (const route of snapshot.routes) this.#storeWord(route, route.split.candidatePpm, isKilled(snapshot, route));
  }

  /** Ahead of compiling: the threads obey the words at once. */
  #storeUrgentWords(edit: Edit): void {
    const { snapshot } = this.#state;
    for (const route of snapshot.routes) {
      if (edit.kind === "rollback" && edit.route === route.name) this.#storeWord(route, 0, isKilled(snapshot, route));
      if (edit.kind === "kill" && (edit.routes === null || edit.routes.includes(route.name))) {
        this.#storeWord(route, route.split.candidatePpm, true);
      }
    }
  }

  #storeWord({ cells }: RouteSpec, candidatePpm: number, killed: boolean): void {
    Atomics.store(this.#options.cells.words, cells.word, packControlWord({ candidatePpm, killed, epoch: cells.epoch }));
  }

  async #announce(before: StoreState, change: Announcement): Promise<void> {
    const after = this.#state;
    const { generation } = after.snapshot;
    const sides = changeBetween(before, after);
    const restartNeeded = change.edit.kind === "config" ? this.restartNeeded : [];
    const events = eventsOfChange({ ...change, ...sides, generation, restartNeeded });
    for (const event of events) this.#options.onEvent(event);
    await this.#audit(change.cause, sides.before, sides.after, generation);
  }

  async #audit(cause: Cause, before: unknown, after: unknown, generation: number): Promise<void> {
    const { actor, action, reason, by } = cause;
    const entry = { actor, action, reason, before, after, generation, cause: by };
    try {
      await this.#options.auditLog.append(entry, this.#options.clock.wallMs());
    } catch (error) {
      this.#options.onEvent(auditFailedEvent(error, generation));
    }
  }

  #noteReload(cause: Cause, result: ProposeResult): void {
    const atMs = this.#options.clock.wallMs();
    const { generation } = this.current;
    if (result.ok) this.#reloads.note(result.outcome, atMs);
    else this.#reloads.note("refused", atMs, result.problems);
    if (!result.ok) this.#options.onEvent(refusedEvent(cause, generation, result.problems));
    else if (result.outcome === "unchanged") this.#options.onEvent(unchangedEvent(cause, generation));
  }

  #unchanged(): Accepted {
    const durable = !this.#options.overlayFile.durable ? "never" : this.overlayIsBehind ? "later" : "now";
    return { ok: true, outcome: "unchanged", snapshot: this.current, durable, warnings: [] };
  }

  #applied(durable: Accepted["durable"], warnings: readonly string[]): Accepted {
    return { ok: true, outcome: "applied", snapshot: this.current, durable, warnings };
  }
}

interface StoreState {
  readonly intent: Intent;
  readonly snapshot: Snapshot;
}

interface FirstState {
  readonly intent: Intent;
  readonly draft: SnapshotDraft;
  readonly ended: readonly string[];
}

type Announcement = Pick<AcceptedChange, "edit" | "cause" | "ended" | "warnings">;

function isKilled(snapshot: Snapshot, route: RouteSpec): boolean {
  return snapshot.killed || route.split.killed;
}
