/** What a reader of text gives back: a value, or what is wrong with the text in words that follow it. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** A good result of reading. */
export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

/** A bad result of reading; `message` continues the sentence that the printed value begins. */
export function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}

const DURATION_UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

const SIZE_UNITS = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["B", 1],
] as const;

/** Longest number in front of a unit: the product stays an exact integer for every unit. */
const MAX_DIGITS = 9;

/** Milliseconds of `250ms 5s 10m 1h 30d`; a bare `0` is allowed. */
export function durationFromText(text: string): Parsed<number> {
  if (text === "0") return parsed(0);
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  if (match === null) return refused("is not a duration; write a whole number and a unit: 250ms, 5s, 10m, 1h or 30d");
  return scaled(match[1] as string, unitFactor(DURATION_UNITS, match[2] as string));
}

/** The shortest text of a duration in milliseconds; `durationFromText` gives it back. */
export function textFromDuration(ms: number): string {
  return textInUnits(ms, DURATION_UNITS, "0s");
}

/** Bytes of `64KiB 1MiB 2GiB 512B` or a plain number of bytes. */
export function sizeFromText(text: string): Parsed<number> {
  const match = /^(\d+)(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) return refused("is not a size; write bytes or a whole number of KiB or MiB: 65536, 64KiB, 1MiB");
  return scaled(match[1] as string, unitFactor(SIZE_UNITS, match[2] ?? "B"));
}

/** The shortest text of a size in bytes; `sizeFromText` gives it back. */
export function textFromSize(bytes: number): string {
  return textInUnits(bytes, SIZE_UNITS, "0B");
}

/** Parts per million of `0% 2.5% 100%`: steps of 0.0001 %. */
export function shareFromText(text: string): Parsed<number> {
  const match = /^(-?)(\d+)(?:\.(\d+))?%$/.exec(text);
  if (match === null) return refused("is not a share; write a percentage from 0% to 100%: 10%, 2.5%, 0.0001%");
  const [, sign, whole = "", decimals = ""] = match;
  if (sign === "-") return refused("is below 0%");
  if (decimals.length > 4) return refused("is finer than 0.0001%; write at most four decimals");
  if (whole.length > MAX_DIGITS) return refused("is above 100%");
  const ppm = Number(whole) * 10_000 + Number(decimals.padEnd(4, "0"));
  return ppm > 1_000_000 ? refused("is above 100%") : parsed(ppm);
}

/** The shortest text of a share in parts per million; `shareFromText` gives it back. */
export function textFromShare(ppm: number): string {
  const decimals = String(ppm % 10_000)
    .padStart(4, "0")
    .replace(/0+$/, "");
  const whole = Math.floor(ppm / 10_000);
  return decimals === "" ? `${whole}%` : `${whole}.${decimals}%`;
}

/** Thousandths of `2 1.9 0.125`: at most three decimals. */
export function thousandthsFromText(text: string): Parsed<number> {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) return refused("is not a number; write one such as 2 or 1.9");
  const [, whole = "", decimals = ""] = match;
  if (decimals.length > 3) return refused("is finer than 0.001; write at most three decimals");
  if (whole.length > MAX_DIGITS) return refused(`has more than ${MAX_DIGITS} digits`);
  return parsed(Number(whole) * 1_000 + Number(decimals.padEnd(3, "0")));
}

/** The shortest text of a number in thousandths; `thousandthsFromText` gives it back. */
export function textFromThousandths(thousandths: number): string {
  return String(thousandths / 1_000);
}

function scaled(digits: string, factor: number): Parsed<number> {
  if (digits.length > MAX_DIGITS) return refused(`has more than ${MAX_DIGITS} digits`);
  return parsed(Number(digits) * factor);
}

type Units = readonly (readonly [string, number])[];

function unitFactor(units: Units, name: string): number {
  for (const [unit, factor] of units) if (unit === name) return factor;
  throw new RangeError(`unit "${name}" is none of ${units.map(([unit]) => unit).join(", ")}`);
}

function textInUnits(value: number, units: Units, zero: string): string {
  for (const [unit, factor] of units) if (value !== 0 && value % factor === 0) return `${value / factor}${unit}`;
  return zero;
}
