import fc from "fast-check";

/** A head as parts: start line without its CRLF, then name, value, … */
export interface HeadParts {
  readonly startLine: string;
  readonly headers: readonly string[];
}

/** A chunked body as parts, and the bytes that say it. */
export interface ChunkedParts {
  readonly wire: string;
  readonly body: string;
  readonly trailers: readonly string[];
}

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz";
const VISIBLE = characters(0x21, 0x7e);
const BLANKS = ["", " ", "\t", "  ", " \t "] as const;
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] as const;

/** A token: what names a field. */
export const token: fc.Arbitrary<string> = text([...TOKEN_CHARACTERS], 1, 12);

/** A field value as it is between its blanks: any byte that may be in one, none of them at its ends blank. */
export const fieldValue: fc.Arbitrary<string> = fc.oneof(
  text(VISIBLE, 0, 20),
  text(["\t", ...characters(0x20, 0x7e), ...characters(0x80, 0xff)], 0, 40).map(trimmed),
);

/** Any method of the strict subset. */
export const method: fc.Arbitrary<string> = fc.constantFrom(...METHODS);

/** A target in origin form. Escapes in it may be broken. */
export const target: fc.Arbitrary<string> = fc.oneof(
  text([..."/abc.%2e?=&"], 0, 20).map((rest) => `/${rest}`),
  text(
    VISIBLE.filter((character) => character !== "#"),
    0,
    30,
  ).map((rest) => `/${rest}`),
);

const ordinaryField: fc.Arbitrary<string[]> = fc.tuple(
  fc.oneof(
    token,
    fc.constantFrom("Cookie", "x-request-id", "VIA", "Accept", "TE", "Trailer", "Keep-Alive", "X-Forwarded-For"),
  ),
  fieldValue,
);
const connectionField = fc.tuple(
  fc.constantFrom("Connection", "connection"),
  fc.constantFrom("keep-alive", "close", "Keep-Alive", "CLOSE"),
);
const lengthField = fc.tuple(fc.constantFrom("Content-Length", "content-length"), fc.nat(40).map(String));
const chunkedField = fc.tuple(
  fc.constantFrom("Transfer-Encoding", "transfer-encoding"),
  fc.constantFrom("chunked", "Chunked"),
);

/** Fields of a message, Host not among them: mostly valid framing, in any order. */
export const fields: fc.Arbitrary<string[]> = fc
  .tuple(
    fc.array(ordinaryField, { maxLength: 5 }),
    fc.option(fc.oneof(lengthField, chunkedField)),
    fc.option(connectionField),
  )
  .chain(([ordinary, framing, connection]) => {
    const all = [...ordinary, ...(framing === null ? [] : [framing]), ...(connection === null ? [] : [connection])];
    return fc.shuffledSubarray(all, { minLength: all.length });
  })
  .map((pairs) => pairs.flat());

/** The head of a request, mostly of the strict subset. */
export const requestParts: fc.Arbitrary<HeadParts> = fc
  .record({ method, target, fields, host: fc.constantFrom("a.test", "a:80", "[::1]:8080"), at: fc.nat(6) })
  .map((parts) => {
    const headers = [...parts.fields];
    headers.splice(Math.min(parts.at * 2, headers.length), 0, "Host", parts.host);
    return { startLine: `${parts.method} ${parts.target} HTTP/1.1`, headers };
  });

/** The head of an answer, mostly valid. */
export const answerParts: fc.Arbitrary<HeadParts> = fc
  .record({
    minor: fc.constantFrom("1", "1", "1", "0"),
    status: fc.oneof(fc.constantFrom(200, 204, 205, 304, 404, 502), fc.integer({ min: 200, max: 999 })),
    reason: fc.oneof(
      fieldValue.map((value) => ` ${value}`),
      fc.constant(""),
    ),
    headers: fields,
  })
  .map(({ minor, status, reason, headers }) => ({ startLine: `HTTP/1.${minor} ${status}${reason}`, headers }));

/** A head's bytes, each value between blanks of any kind. */
export function headText(parts: fc.Arbitrary<HeadParts>): fc.Arbitrary<string> {
  return fc.tuple(parts, fc.array(fc.constantFrom(...BLANKS), { minLength: 2, maxLength: 8 })).map(([head, blanks]) => {
    let out = `${head.startLine}\r\n`;
    for (let i = 0; i < head.headers.length; i += 2) {
      const before = blanks[i % blanks.length] as string;
      const behind = blanks[(i + 1) % blanks.length] as string;
      out += `${head.headers[i] as string}:${before}${head.headers[i + 1] as string}${behind}\r\n`;
    }
    return `${out}\r\n`;
  });
}

const quoted = text([..."ab \t[]\xff"], 0, 6).map((inner) => `"${inner}"`);
const extension = fc
  .tuple(token, fc.option(fc.oneof(token, quoted, fc.constant('"\\"\\\\"'))))
  .map(([name, value]) => (value === null ? `;${name}` : `;${name}=${value}`));
const chunk = fc.record({
  data: text(characters(0, 0xff), 1, 24),
  zeros: fc.constantFrom("", "", "0", "000"),
  upper: fc.boolean(),
  extensions: fc.array(extension, { maxLength: 2 }).map((all) => all.join("")),
});
const trailerNames = text([..."xyz-"], 1, 6).map((name) => `t${name}`);

/** A chunked body with extensions, leading zeros, both cases of digits, and trailers. */
export const chunkedBody: fc.Arbitrary<ChunkedParts> = fc
  .record({
    chunks: fc.array(chunk, { maxLength: 4 }),
    last: chunk,
    trailers: fc.array(fc.tuple(trailerNames, fieldValue), { maxLength: 3 }),
  })
  .map(({ chunks, last, trailers }) => {
    const pieces = chunks.map((one) => `${sizeLine(one, one.data.length)}${one.data}\r\n`);
    const lines = trailers.map(([name, value]) => `${name}: ${value} \r\n`);
    return {
      wire: `${pieces.join("")}${sizeLine(last, 0)}${lines.join("")}\r\n`,
      body: chunks.map(({ data }) => data).join(""),
      trailers: trailers.flat(),
    };
  });

const FORCES = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  ",",
  ":",
  ";",
  '"',
  "\\",
  "=",
  "#",
  "0",
  "a",
  "\x7f",
  "\xff",
] as const;
const mutation = fc.record({
  kind: fc.constantFrom("insert", "delete", "replace", "repeat"),
  where: fc.nat(10_000),
  bytes: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...FORCES) }, text(characters(0, 0xff), 1, 1)),
});

/** The same bytes with one to three of them inserted, deleted, replaced or doubled. */
export function mutated(bytes: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(bytes, fc.array(mutation, { minLength: 1, maxLength: 3 })).map(([original, mutations]) => {
    let out = original;
    for (const { kind, where, bytes: force } of mutations) {
      const at = where % (out.length + 1);
      const kept = kind === "delete" || kind === "replace" ? out.slice(at + 1) : out.slice(at);
      const added = kind === "delete" ? "" : kind === "repeat" ? out.slice(at, at + 1 + (where % 12)) : force;
      out = out.slice(0, at) + added + kept;
    }
    return out;
  });
}

function sizeLine(one: { zeros: string; upper: boolean; extensions: string }, size: number): string {
  const digits = one.upper ? size.toString(16).toUpperCase() : size.toString(16);
  return `${one.zeros}${digits}${one.extensions}\r\n`;
}

function text(from: readonly string[], minLength: number, maxLength: number): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...from), { minLength, maxLength }).map((all) => all.join(""));
}

function characters(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => String.fromCharCode(first + i));
}

function trimmed(value: string): string {
  return value.replaceAll(/^[ \t]+|[ \t]+$/g, "");
}
