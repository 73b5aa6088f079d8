import type { Contestant, Place, Subject } from "../contestant.ts";
import { findProgram } from "../processes.ts";
import { missingIn } from "./equality.ts";
import { oneLine } from "./one-line.ts";

/** Who takes part, all running, and who does not. */
export interface Cast {
  readonly subjects: readonly Subject[];
  /** Why, by name. */
  readonly absent: Readonly<Record<string, string>>;
  /** What those who take part do not do, by name. */
  readonly unequal: Readonly<Record<string, readonly string[]>>;
  stop(): Promise<void>;
}

/**
 * Asks everybody who is there whether it does the same work, then starts it for the measurement. Who cannot be started
 * or does not answer is left out; who does less takes part with a mark.
 */
export async function assemble(
  contestants: readonly Contestant[],
  place: Place,
  progress: (line: string) => void,
): Promise<Cast> {
  const subjects: Subject[] = [];
  const absent: Record<string, string> = {};
  const unequal: Record<string, readonly string[]> = {};
  for (const contestant of contestants) {
    const { name, program } = contestant;
    if (program !== null && findProgram(program) === null) {
      absent[name] = `${program} is not on the PATH`;
      continue;
    }
    try {
      const missing = await missingIn(contestant, place.folder);
      if (missing.length > 0) unequal[name] = missing;
      subjects.push(await contestant.start(place));
      progress(
        missing.length === 0 ? `${name}: does the same work` : `${name}: not equal: missing ${missing.join(", ")}`,
      );
    } catch (error) {
      absent[name] = oneLine(error);
      progress(`${name}: left out: ${oneLine(error)}`);
    }
  }
  const stop = async (): Promise<void> => {
    for (const subject of subjects) await subject.stop();
  };
  return { subjects, absent, unequal, stop };
}
