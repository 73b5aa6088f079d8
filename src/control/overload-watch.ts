import type { StateEventSink } from "../base/state-event.ts";
import type { Snapshot } from "../model/snapshot.ts";
import { highestStage } from "../telemetry/scrape-view.ts";
import { everyUnheld, type Every } from "./every.ts";

/** What the watch works with. */
export interface OverloadWatchOptions {
  /** Counter pages of the data threads, as they are now. */
  readonly regions: () => readonly (readonly SharedArrayBuffer[])[];
  readonly onEvent: StateEventSink;
  /** Calls again and again; tests call by hand. */
  readonly every?: Every;
}

const PERIOD_MS = 250;

/** The stage from which requests are turned away. */
const SHEDS_FROM = 2;

/** Tells when the worst data thread begins to turn requests away, when that grows, and when it is over. */
export class OverloadWatch {
  readonly #options: OverloadWatchOptions;
  readonly #every: Every;
  #told = 0;
  #stop: (() => void) | null = null;

  /** Watches nothing until `apply`. */
  constructor(options: OverloadWatchOptions) {
    this.#options = options;
    this.#every = options.every ?? everyUnheld;
  }

  /** Watches while the snapshot has limits. */
  apply({ overload: { eventLoopLagMs, heapPpm, maxInFlight } }: Snapshot): void {
    if (eventLoopLagMs > 0 || heapPpm > 0 || maxInFlight > 0) {
      this.#stop ??= this.#every(PERIOD_MS, () => this.look());
      return;
    }
    this.#tell(0);
    this.close();
  }

  /** Looks now. */
  look(): void {
    this.#tell(highestStage(this.#options.regions()));
  }

  /** Watches no more. */
  close(): void {
    this.#stop?.();
    this.#stop = null;
  }

  #tell(stage: number): void {
    const before = this.#told;
    const now = stage < SHEDS_FROM ? 0 : stage;
    if (now === before) return;
    this.#told = now;
    const fields = { stage, before };
    if (now > before) {
      this.#options.onEvent({ level: "warn", name: "overload", message: "overload: requests are shed", fields });
    } else if (now === 0) {
      this.#options.onEvent({ level: "info", name: "overload-over", message: "overload over", fields });
    }
  }
}
