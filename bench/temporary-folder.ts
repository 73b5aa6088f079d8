import fs from "node:fs";
import os from "node:os";
import path from "node:path";

/** Does the work with a folder of its own for temporary files, and removes it. */
export async function inTemporaryFolder(name: string, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`));
  const remove = (): void => fs.rmSync(folder, { recursive: true, force: true });
  // Also when a signal ends us.
  process.once("exit", remove);
  await work(folder).finally(remove);
}
