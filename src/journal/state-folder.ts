import { access, constants, mkdir } from "node:fs/promises";

/** Makes the state folder if need be and checks that this process may write in it; throws an Error that says what to do. */
export async function openStateFolder(stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await access(stateDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `runtime.stateDir: "${stateDir}" cannot be used (${why}): give a folder that this process may write, ` +
        `or leave stateDir out, and changes made at run time will not outlive a restart`,
      { cause },
    );
  }
}
