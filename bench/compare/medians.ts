import { median } from "../report.ts";

/** The median of each figure over the rounds that have one, null ones passed over; null when no round has any. */
export function mediansOf<T extends { readonly [Key in keyof T]: number | null }>(
  rounds: readonly ({ readonly sample: T } | { readonly failure: string })[],
): T | null {
  const samples = rounds.flatMap((round) => ("sample" in round ? [round.sample] : []));
  const [first] = samples;
  if (first === undefined) return null;
  const keys = Object.keys(first) as (keyof T)[];
  return Object.fromEntries(
    keys.map((key) => {
      const values = samples.flatMap((sample) => sample[key] ?? []);
      return [key, values.length === 0 ? null : median(values)];
    }),
  ) as T;
}
