import { z } from "zod";
import { suggestion } from "./nearest.ts";
import {
  durationFromText,
  parsed,
  refused,
  shareFromText,
  sizeFromText,
  textFromDuration,
  textFromShare,
  textFromSize,
  textFromThousandths,
  thousandthsFromText,
} from "./units.ts";
import type { Parsed } from "./units.ts";

/** A leaf of the config: any YAML scalar goes in, a checked value comes out. */
export type ScalarField<T> = z.ZodType<T>;

/** What a leaf is called in the reference, how an editor sees it, how it is read. */
interface ScalarSpec<T> {
  /** Kind of value in a word or two, printed in the reference and when the value is missing. */
  readonly title: string;
  readonly description: string;
  /** JSON Schema of the written form. */
  readonly json: Readonly<Record<string, unknown>>;
  read(value: unknown): Parsed<T>;
}

/** Lowest and highest allowed value, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/**
 * For limits of lists: zod asks whatever has a length for it, a map with a key of that name too, whose value need not be
 * anything that can be compared with a number.
 */
export const IF_LIST: { readonly abort: boolean } = listOnly();

/** What is said of `key:` with nothing behind it. */
export const EMPTY_VALUE = "is empty; give it a value or remove the line";

/** In JSON Schema, any text with a `${NAME}` in it may become a valid value. */
const VARIABLE = String.raw`\$\{.+\}`;
const LONGEST_DURATION_MS = 24 * 3_600_000;

/** zod obeys `when` for every check, though its types know it for some only. */
function listOnly(): { readonly abort: boolean } {
  const when = ({ value }: { readonly value: unknown }): boolean => Array.isArray(value);
  const settings = { abort: false, when };
  return settings;
}

/** Builds a leaf from its description. */
export function scalar<T>(spec: ScalarSpec<T>): ScalarField<T> {
  const meta = { ...spec.json, title: spec.title, description: spec.description };
  return z
    .unknown()
    .meta(meta)
    .transform((value, context) => {
      const result = readScalar(spec, value);
      if (result.ok) return result.value;
      context.issues.push({ code: "custom", message: result.message, input: value });
      return z.NEVER;
    });
}

/** A duration; result in milliseconds. Without a range: 1ms to 24h. `zero`: what 0s means where it is allowed. */
export function duration(
  description: string,
  range: Range = { min: 1, max: LONGEST_DURATION_MS },
  zero = "none",
): ScalarField<number> {
  const title = range.min === 0 ? `duration, 0s = ${zero}` : "duration";
  return scalar({
    title,
    description,
    json: { type: ["string", "integer"], pattern: orVariable(String.raw`0|\d+(ms|s|m|h|d)`), minimum: 0, maximum: 0 },
    read: (value) => inRange(readText(value, durationFromText, "250ms, 5s, 10m"), range, textFromDuration),
  });
}

/** A size; result in bytes. */
export function size(description: string, range: Range): ScalarField<number> {
  return scalar({
    title: "size",
    description,
    json: { type: ["string", "integer"], pattern: orVariable(String.raw`\d+(B|KiB|MiB|GiB)?`) },
    read: (value) => inRange(readText(value, sizeFromText, ""), range, textFromSize),
  });
}

/** A share; result in parts per million. Without a range: 0% to 100%. */
export function share(description: string, range: Range = { min: 0, max: 1_000_000 }): ScalarField<number> {
  return scalar({
    title: "share",
    description,
    json: { type: "string", pattern: orVariable(String.raw`\d{1,3}(\.\d{1,4})?%`) },
    read: (value) => inRange(readText(value, shareFromText, "10%, 2.5%"), range, textFromShare),
  });
}

/** A number with up to three decimals; range and result in thousandths. */
export function decimal(description: string, range: Range): ScalarField<number> {
  return scalar({
    title: `number ${textFromThousandths(range.min)}..${textFromThousandths(range.max)}`,
    description,
    json: { type: ["number", "string"], pattern: orVariable(String.raw`\d+(\.\d{1,3})?`) },
    read: (value) => inRange(readText(value, thousandthsFromText, ""), range, textFromThousandths),
  });
}

/** A whole number; digits in quotes are taken too, since `${NAME}` gives text. */
export function integer(description: string, range: Range): ScalarField<number> {
  return scalar({
    title: `integer ${range.min}..${range.max}`,
    description,
    json: {
      type: ["integer", "string"],
      minimum: range.min,
      maximum: range.max,
      pattern: orVariable(String.raw`\d+`),
    },
    read: (value) => inRange(readText(value, wholeNumberFromText, ""), range, String),
  });
}

/** One of a closed set of words or numbers. */
export function choice<const T extends string | number>(description: string, values: readonly T[]): ScalarField<T> {
  return scalar({
    title: values.join(" | "),
    description,
    json: { anyOf: [{ enum: values }, { type: "string", pattern: VARIABLE }] },
    read: (value) => readChoice(value, values),
  });
}

/** Text that `read` understands; `pattern` is its written form for editors, null for any text. */
export function text<T>(
  description: string,
  spec: { readonly title: string; readonly pattern: string | null; readonly read: (text: string) => Parsed<T> },
): ScalarField<T> {
  const json = spec.pattern === null ? { type: "string" } : { type: "string", pattern: orVariable(spec.pattern) };
  const read = (value: unknown): Parsed<T> =>
    typeof value === "string" ? spec.read(value) : refused("must be text; put it in quotes");
  return scalar({ title: spec.title, description, json, read });
}

/** `true` or `false`; the words in quotes are taken too, since `${NAME}` gives text. */
export function boolean(description: string): ScalarField<boolean> {
  return scalar({
    title: "true | false",
    description,
    json: { anyOf: [{ type: "boolean" }, { enum: ["true", "false"] }, { type: "string", pattern: VARIABLE }] },
    read: (value) =>
      value === true || value === "true"
        ? parsed(true)
        : value === false || value === "false"
          ? parsed(false)
          : refused("is none of true, false"),
  });
}

/** The value `true` and nothing else. */
export function flag(description: string): ScalarField<true> {
  return scalar<true>({
    title: "true",
    description,
    json: { enum: [true] },
    read: (value) =>
      value === true || value === "true" ? parsed(true) : refused("must be true; remove the line instead"),
  });
}

/** A pattern for the whole text, or any text with a variable in it. */
function orVariable(pattern: string): string {
  return `^(${pattern})$|${VARIABLE}`;
}

function readScalar<T>(spec: ScalarSpec<T>, value: unknown): Parsed<T> {
  if (value === undefined) return refused(`is required (${spec.title})`);
  if (value === null) return refused(EMPTY_VALUE);
  if (typeof value === "object") return refused(`must be one value (${spec.title})`);
  return spec.read(value);
}

/** Numbers are read through their text, so that `65536` is a size and `5` is told that its unit is missing. */
function readText(value: unknown, read: (text: string) => Parsed<number>, unitExamples: string): Parsed<number> {
  if (typeof value === "string") return read(value);
  if (typeof value !== "number") return read(String(value));
  const result = read(String(value));
  if (result.ok || unitExamples === "") return result;
  return refused(`is a number without a unit; write ${unitExamples}`);
}

function wholeNumberFromText(text: string): Parsed<number> {
  const value = Number(text);
  return /^-?\d+$/.test(text) && Number.isSafeInteger(value) ? parsed(value) : refused("is not a whole number");
}

function inRange(result: Parsed<number>, range: Range, print: (value: number) => string): Parsed<number> {
  if (!result.ok) return result;
  const allowed = `allowed: ${print(range.min)} to ${print(range.max)}`;
  if (result.value < range.min) return refused(`is below ${print(range.min)}; ${allowed}`);
  if (result.value > range.max) return refused(`is above ${print(range.max)}; ${allowed}`);
  return result;
}

function readChoice<T extends string | number>(value: unknown, values: readonly T[]): Parsed<T> {
  const written = String(value);
  for (const allowed of values) if (String(allowed) === written) return parsed(allowed);
  return refused(`is none of ${values.join(", ")}${suggestion(written, values.map(String))}`);
}
