import { setTimeout as sleep } from "node:timers/promises";
import type { StateEventSink } from "../base/state-event.ts";
import type { OverlayFile } from "../journal/overlay-file.ts";
import type { Overlay } from "../model/overlay.ts";

/** How long to wait between tries, in milliseconds. */
export interface RetryDelays {
  /** After the first failure; doubled after each further one. Default 100. */
  readonly firstMs: number;
  /** Default 10 000. */
  readonly maxMs: number;
}

const DEFAULT_DELAYS: RetryDelays = { firstMs: 100, maxMs: 10_000 };

/**
 * Two ways to the overlay file: at once or not at all (`save`), and in the background until it succeeds (`saveSoon`).
 * In the background it is always the newest overlay that is written, so however the two interleave, the file ends
 * with what is in force.
 */
export class OverlayWriter {
  readonly #file: OverlayFile;
  readonly #latest: () => Overlay;
  readonly #onEvent: StateEventSink;
  readonly #delays: RetryDelays;
  readonly #stop = new AbortController();
  #wanted = false;
  #work: Promise<void> | null = null;

  /** `latest` gives the overlay in force. */
  constructor(file: OverlayFile, latest: () => Overlay, onEvent: StateEventSink, delays = DEFAULT_DELAYS) {
    this.#file = file;
    this.#latest = latest;
    this.#onEvent = onEvent;
    this.#delays = delays;
  }

  /** The overlay in force is not on disk yet. */
  get isBehind(): boolean {
    return this.#work !== null;
  }

  /** One try; rejects when the disk refuses. */
  async save(overlay: Overlay): Promise<void> {
    try {
      await this.#file.save(overlay);
    } catch (error) {
      // A failed save may have got as far as the rename: put back what is in force.
      this.saveSoon();
      throw error;
    }
  }

  /** Writes the overlay in force in the background, again and again until it is on disk. */
  saveSoon(): void {
    this.#wanted = true;
    this.#work ??= this.#saveUntilDone();
  }

  /** What was just published must not be overwritten by a background write that read the overlay before. */
  onPublished(): void {
    if (this.#work !== null) this.#wanted = true;
  }

  /** Resolves when nothing is left to write. */
  async idle(): Promise<void> {
    while (this.#work !== null) await this.#work;
  }

  /** Ends the waiting: one last try, then it is over. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.idle();
  }

  async #saveUntilDone(): Promise<void> {
    let failures = 0;
    while (this.#wanted) {
      this.#wanted = false;
      try {
        await this.#file.save(this.#latest());
      } catch (error) {
        failures++;
        this.#alarm(error, failures);
        this.#wanted = true;
        if (this.#stop.signal.aborted) break;
        await this.#pause(failures);
        continue;
      }
      if (failures > 0) this.#recovered(failures);
      failures = 0;
    }
    this.#work = null;
  }

  async #pause(failures: number): Promise<void> {
    const delayMs = Math.min(this.#delays.firstMs * 2 ** (failures - 1), this.#delays.maxMs);
    // An abort only ends the pause early: the last try follows.
    await sleep(delayMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
  }

  #alarm(error: unknown, failures: number): void {
    this.#onEvent({
      level: "error",
      name: "overlay-write-failed",
      message: "overlay write failed",
      fields: { failures, error: error instanceof Error ? error.message : String(error) },
    });
  }

  #recovered(failures: number): void {
    this.#onEvent({
      level: "info",
      name: "overlay-write-recovered",
      message: "overlay write recovered",
      fields: { failures },
    });
  }
}
