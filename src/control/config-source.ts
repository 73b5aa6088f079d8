import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import type { StateEventSink } from "../base/state-event.ts";
import type { Cause } from "../model/snapshot.ts";
import { hashOfFiles } from "./config-reading.ts";
import type { ConfigReading } from "./config-reading.ts";
import { Debounce } from "./debounce.ts";
import { FolderWatch } from "./folder-watch.ts";

/** What a config source works with; times in milliseconds. */
export interface ConfigSourceOptions<Result> {
  /** The reading that is in force: the source begins to look for another. */
  readonly first: ConfigReading;
  /** Reads the config file and all it names, consistently. */
  readonly read: () => Promise<ConfigReading>;
  /** Takes a reading that differs from the last; resolves with what became of it. */
  readonly onReading: (reading: ConfigReading, cause: Cause) => Promise<Result>;
  readonly onEvent: StateEventSink;
  /** How often the files are hashed, whatever the watch says; default 1000. */
  readonly pollMs?: number;
  /** A change waits for this much quiet; default 100. */
  readonly quietMs?: number;
  /** A change waits at most this long for quiet; default 500. */
  readonly maxWaitMs?: number;
}

const FILE_CAUSE: Cause = { by: "file", actor: "file", reason: "the files changed", action: "reload" };

/**
 * Watches the config file and every file it names, and hands over what they say when it changes. Three ways to see a
 * change: the watch on the folders (at once), the hash on a timer (whatever the file system hides), and `reloadNow`.
 */
export class ConfigSource<Result> {
  readonly #options: ConfigSourceOptions<Result>;
  readonly #debounce: Debounce;
  readonly #folders: FolderWatch;
  #seen: Pick<ConfigReading, "hash" | "paths">;
  #poll: NodeJS.Timeout | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** Call `start` to begin. */
  constructor(options: ConfigSourceOptions<Result>) {
    const { quietMs = 100, maxWaitMs = 500 } = options;
    this.#options = options;
    this.#seen = options.first;
    this.#debounce = new Debounce(quietMs, maxWaitMs, () => void this.#inTurn(() => this.#readIfChanged()));
    this.#folders = new FolderWatch(
      () => this.#debounce.trigger(),
      (folder, error) => this.#watchFailed(folder, error),
    );
  }

  /** Begins to watch; resolves when every folder is watched. */
  async start(): Promise<void> {
    await this.#watchFolders();
    this.#schedulePoll();
  }

  /** Reads now and hands over what is there, changed or not: for SIGHUP and for people. */
  reloadNow(cause: Cause): Promise<Result> {
    this.#debounce.cancel();
    return this.#inTurn(async () => this.#handOver(await this.#options.read(), cause));
  }

  /** Stops watching; resolves when a reading under way was handed over. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#poll !== null) clearTimeout(this.#poll);
    this.#debounce.cancel();
    this.#folders.close();
    await this.#turn;
  }

  async #readIfChanged(): Promise<void> {
    if (this.#closed) return;
    // Whatever else changes in these folders, a log beside the config say, is not worth a parse.
    if ((await hashOfFiles(this.#seen.paths)) === this.#seen.hash) return;
    const reading = await this.#options.read();
    // Files that never hold still are looked at again with the next poll; their problem is reported each time.
    if (reading.hash !== this.#seen.hash || reading.hash === null) await this.#handOver(reading, FILE_CAUSE);
  }

  async #handOver(reading: ConfigReading, cause: Cause): Promise<Result> {
    this.#seen = reading;
    await this.#watchFolders();
    return this.#options.onReading(reading, cause);
  }

  /** One reading at a time, in the order asked. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(step);
    this.#turn = result.catch(() => {});
    return result;
  }

  #schedulePoll(): void {
    if (this.#closed) return;
    this.#poll = setTimeout(() => void this.#lookAgain(), this.#options.pollMs ?? 1000);
  }

  async #lookAgain(): Promise<void> {
    const { hash, paths } = this.#seen;
    const changed = (await hashOfFiles(paths)) !== hash;
    await this.#watchFolders();
    if (changed && !this.#closed) this.#debounce.trigger();
    this.#schedulePoll();
  }

  /** The folders of all files, and of what their symlinks lead to. */
  async #watchFolders(): Promise<void> {
    const folders = new Set<string>();
    for (const path of this.#seen.paths) {
      folders.add(dirname(path));
      // A file that is missing has no target yet; its own folder is watched.
      const target = await realpath(path).catch(() => path);
      folders.add(dirname(target));
    }
    if (!this.#closed) this.#folders.setFolders(folders);
  }

  #watchFailed(folder: string, error: Error): void {
    this.#options.onEvent({
      level: "warn",
      name: "config-watch-failed",
      message: "a folder cannot be watched: changes in it are seen by the timer only",
      fields: { folder, error: error.message },
    });
  }
}
