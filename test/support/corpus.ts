import fs from "node:fs";

/** A request that a client sends, byte for byte, and what must come of it. Fields as in the file's `format`. */
export interface RequestCase {
  readonly name: string;
  readonly raw: string;
  readonly expected: string;
  readonly status: readonly number[];
  readonly maxUpstream: number;
  readonly maxResponses: number;
  readonly upstreamAbsent?: readonly string[];
  readonly upstreamPresent?: readonly string[];
  readonly mustClose?: boolean;
  readonly silentCloseOk?: boolean;
  readonly waitOk?: boolean;
  readonly note?: string;
  readonly ref: string;
}

/** An answer that an upstream gives, byte for byte, and what must come of it. Fields as in the file's `format`. */
export interface AnswerCase {
  readonly name: string;
  readonly method: string;
  readonly clientVersion?: string;
  readonly upstreamRaw: string;
  readonly then: "keep" | "close" | "reset" | "hold";
  readonly expected: "pass" | "502" | "504" | "abort" | "either";
  readonly status: readonly number[];
  readonly body?: string;
  readonly clientAbsent?: readonly string[];
  readonly clientPresent?: readonly string[];
  readonly ref: string;
}

/** The cases of test/fixtures/corpus/h1-requests.json. */
export function readRequestCases(): readonly RequestCase[] {
  return readCases("h1-requests.json") as readonly RequestCase[];
}

/** The cases of test/fixtures/corpus/h1-responses.json. */
export function readAnswerCases(): readonly AnswerCase[] {
  return readCases("h1-responses.json") as readonly AnswerCase[];
}

/** Writes out `{{X*N}}` as X repeated N times. */
export function expanded(raw: string): string {
  return raw.replaceAll(/\{\{([\s\S]*?)\*(\d+)\}\}/g, (_whole, piece: string, times: string) =>
    piece.repeat(Number(times)),
  );
}

function readCases(file: string): readonly unknown[] {
  const text = fs.readFileSync(new URL(`../fixtures/corpus/${file}`, import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly cases: readonly unknown[] }).cases;
}
