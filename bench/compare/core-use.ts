import { coreBusyMicros, cpuTimes } from "../processes.ts";

/** What a subject used of the processor between two moments. */
export interface CoreUse {
  readonly cpuMicros: number;
  /** Part of the CPU time that was spent in user mode. */
  readonly userShare: number;
  /** CPU time per time; above 1 when several threads run at once. */
  readonly busyShare: number;
  /** Part of the time in which its core was busy with anything else; null = it is not held to one core. */
  readonly strangersShare: number | null;
}

/** Begins to watch a subject; what is returned tells its use since then. */
export function watchCore(processId: number, core: number | null): () => CoreUse {
  const startMs = performance.now();
  const coreBefore = core === null ? 0 : coreBusyMicros(core);
  const before = cpuTimes(processId);
  return () => {
    const after = cpuTimes(processId);
    const coreMicros = core === null ? null : coreBusyMicros(core) - coreBefore;
    const elapsedMicros = (performance.now() - startMs) * 1_000;
    const cpuMicros = after.micros - before.micros;
    const [user, system] = [after.userTicks - before.userTicks, after.systemTicks - before.systemTicks];
    return {
      cpuMicros,
      userShare: user + system === 0 ? 0 : user / (user + system),
      busyShare: cpuMicros / elapsedMicros,
      strangersShare: coreMicros === null ? null : Math.max(0, (coreMicros - cpuMicros) / elapsedMicros),
    };
  };
}
