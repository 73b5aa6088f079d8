import { ConfigRefused, startSidecar, type Sidecar } from "../sidecar.ts";
import type { CliStreams } from "./streams.ts";

/** `crossfade run --config FILE`: runs until a signal ends it. Resolves with the exit code. */
export async function run(configPath: string, { stderr, env }: CliStreams): Promise<number> {
  let sidecar: Sidecar;
  try {
    sidecar = await startSidecar(configPath, env);
  } catch (error) {
    stderr(`crossfade: cannot start with ${configPath}\n${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof ConfigRefused || isStartProblem(error) ? 1 : 70;
  }
  return untilSignal(sidecar);
}

/** Addresses and folders come from the config: what is wrong with them is refused like the rest of it. */
function isStartProblem(error: unknown): boolean {
  return error instanceof Error && (!(error instanceof TypeError) || "code" in error);
}

function untilSignal(sidecar: Sidecar): Promise<number> {
  return new Promise((resolve) => {
    let ending = false;
    const end = (): void => {
      // The second signal means now.
      if (ending) process.exit(0);
      ending = true;
      sidecar.stop().then(
        () => resolve(0),
        () => resolve(70),
      );
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
    process.on("SIGHUP", () => {
      if (ending) return;
      void sidecar.reload({ by: "signal", actor: "SIGHUP", reason: "SIGHUP", action: "reload" });
    });
  });
}
