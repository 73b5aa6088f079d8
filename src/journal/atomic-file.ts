import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Replaces a file so that a crash at any moment leaves either the old text or the new, whole and on disk:
 * write beside it, fsync, rename over it, fsync the directory. One caller per path at a time.
 */
export async function writeFileDurably(path: string, text: string): Promise<void> {
  const beside = `${path}.tmp`;
  try {
    await writeSynced(beside, text);
    await rename(beside, path);
  } catch (error) {
    // What is left beside the file is overwritten next time; why the write failed matters more.
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a rename or a new file in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
