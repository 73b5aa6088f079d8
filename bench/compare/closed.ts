import type { Subject } from "../contestant.ts";
import { median } from "../report.ts";
import { mediansOf } from "./medians.ts";
import type { ClosedRow, Ratio } from "./report.ts";
import { measureInTurn, type ClosedLoad, type InTurn, type Round } from "./rounds.ts";

/** Measures every subject under one closed load and compares it with the reference among them, if it is there. */
export async function closedRows(
  load: ClosedLoad,
  unit: ClosedRow["unit"],
  subjects: readonly Subject[],
  referenceName: string,
  inTurn: InTurn,
): Promise<readonly ClosedRow[]> {
  const taken = await measureInTurn(load, subjects, inTurn);
  const reference = subjects.find(({ name }) => name === referenceName);
  const baseRounds = reference === undefined ? [] : (taken.get(reference) ?? []);
  return subjects.map((subject): ClosedRow => {
    const rounds = taken.get(subject) ?? [];
    const ratio = ratioOf(rounds.map(cpuOf), baseRounds.map(cpuOf));
    return { load: load.name, unit, subject: subject.name, median: mediansOf(rounds), ratio, rounds };
  });
}

/** Ratio of two series of rounds, of which null ones gave no measurement; null when either has none. */
export function ratioOf(values: readonly (number | null)[], base: readonly (number | null)[]): Ratio | null {
  const [some, others] = [values.filter(isThere), base.filter(isThere)];
  if (some.length === 0 || others.length === 0) return null;
  const ofRounds = values.flatMap((value, round) => {
    const other = base[round] ?? null;
    return value === null || other === null ? [] : [value / other];
  });
  return {
    ofMedians: median(some) / median(others),
    medianOfRounds: ofRounds.length === 0 ? null : median(ofRounds),
  };
}

function isThere(value: number | null): value is number {
  return value !== null;
}

function cpuOf(round: Round): number | null {
  return "sample" in round ? round.sample.cpuMicros : null;
}
