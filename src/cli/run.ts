import { ConfigRefused, startSidecar, type Sidecar } from "../sidecar.ts";
import type { CliStreams } from "./streams.ts";

/** `crossfade run --config FILE`: runs until a signal ends it. Resolves with the exit code. */
export async function run(configPath: string, { stderr, env }: CliStreams): Promise<number> {
  const signals = hearSignals();
  try {
    signals.sidecar = await startSidecar(configPath, env);
  } catch (error) {
    stderr(`crossfade: cannot start with ${configPath}\n${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof ConfigRefused || isStartProblem(error) ? 1 : 70;
  }
  return signals.ended;
}

/** Addresses and folders come from the config: what is wrong with them is refused like the rest of it. */
function isStartProblem(error: unknown): boolean {
  return error instanceof Error && (!(error instanceof TypeError) || "code" in error);
}

interface Signals {
  /** What they are about; null while it starts. */
  sidecar: Sidecar | null;
  /** The exit code, once a signal has ended the sidecar. */
  readonly ended: Promise<number>;
}

/** Hears signals from before the start on: as process 1 of a container we would otherwise miss those that come early. */
function hearSignals(): Signals {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const signals: Signals = { sidecar: null, ended };
  let ending = false;
  const end = (): void => {
    // The second signal means now, and so does the first while there is nothing to drain.
    if (ending || signals.sidecar === null) process.exit(0);
    ending = true;
    signals.sidecar.stop().then(
      () => resolve(0),
      () => resolve(70),
    );
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  process.on("SIGHUP", () => {
    if (ending) return;
    void signals.sidecar?.reload({ by: "signal", actor: "SIGHUP", reason: "SIGHUP", action: "reload" });
  });
  return signals;
}
