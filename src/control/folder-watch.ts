import { statSync, watch } from "node:fs";
import type { FSWatcher } from "node:fs";

/**
 * Watches folders, not files: Kubernetes swaps a symlink beside the file, editors rename over it. A folder that cannot
 * be watched, or was replaced by another of the same name, is tried again with each `setFolders`.
 */
export class FolderWatch {
  readonly #onChange: () => void;
  readonly #onFailure: (folder: string, error: Error) => void;
  readonly #watched = new Map<string, WatchedFolder>();
  readonly #failed = new Set<string>();

  /** `onFailure` hears of each folder once until it can be watched again. */
  constructor(onChange: () => void, onFailure: (folder: string, error: Error) => void) {
    this.#onChange = onChange;
    this.#onFailure = onFailure;
  }

  /** Watches these folders and no others. */
  setFolders(folders: ReadonlySet<string>): void {
    for (const folder of this.#watched.keys()) if (!folders.has(folder)) this.#drop(folder);
    for (const folder of folders) this.#ensure(folder);
  }

  /** Ends all watching. */
  close(): void {
    for (const folder of this.#watched.keys()) this.#drop(folder);
  }

  #ensure(folder: string): void {
    try {
      const identity = identityOf(folder);
      const known = this.#watched.get(folder);
      if (known?.identity === identity) return;
      if (known !== undefined) {
        this.#drop(folder);
        this.#onChange();
      }
      this.#watch(folder, identity);
      this.#failed.delete(folder);
    } catch (error) {
      this.#fail(folder, error as Error);
    }
  }

  #watch(folder: string, identity: string): void {
    const watcher = watch(folder, { persistent: false }, this.#onChange);
    watcher.on("error", (error) => this.#fail(folder, error));
    this.#watched.set(folder, { watcher, identity });
  }

  #fail(folder: string, error: Error): void {
    this.#drop(folder);
    if (this.#failed.has(folder)) return;
    this.#failed.add(folder);
    this.#onFailure(folder, error);
  }

  #drop(folder: string): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }
}

interface WatchedFolder {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

/** A folder that is deleted and made again is another one, and the old watcher hears nothing of it. */
function identityOf(folder: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `${dev}:${ino}`;
}
