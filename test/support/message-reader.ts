import { changed } from "./until.ts";

/** One HTTP/1 message as it stood on the wire. It grows while bytes arrive; `complete` is set by its framing. */
export interface HttpMessage {
  readonly startLine: string;
  /** Name, value, name, value …; order, case and repeats as received; latin1. */
  readonly rawHeaders: readonly string[];
  readonly framing: "none" | "length" | "chunked" | "close";
  /** Body bytes in the pieces they were framed in (chunked) or arrived in. */
  readonly pieces: Buffer[];
  /** Trailer fields, flat like `rawHeaders`. */
  trailers: string[];
  complete: boolean;
}

/** Values of a field, in order; `name` in any case. */
export function allHeaders(message: { readonly rawHeaders: readonly string[] }, name: string): string[] {
  return valuesOf(message.rawHeaders, name);
}

/** The only value of a field; null when absent; throws when there are several, as a test should notice. */
export function header(message: { readonly rawHeaders: readonly string[] }, name: string): string | null {
  const values = allHeaders(message, name);
  if (values.length > 1) throw new Error(`${name} occurs ${values.length} times: ${JSON.stringify(values)}`);
  return values[0] ?? null;
}

/** Values of a field in a flat name, value list. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const lowerName = name.toLowerCase();
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === lowerName) values.push(rawHeaders[i + 1] ?? "");
  }
  return values;
}

/** The body received so far. */
export function bodyOf(message: HttpMessage): Buffer {
  return Buffer.concat(message.pieces);
}

/** How a reader decides that a message has no body whatever its header fields say. */
export type BodylessRule = (startLine: string) => "none" | "interim" | "tunnel" | "by-headers";

/**
 * A small strict HTTP/1 reader for the tests' side. It accepts CRLF line ends, token names, one Content-Length or
 * `chunked` alone, and nothing else: what it calls malformed, the sidecar must not have sent. Bytes after a malformed
 * place, or after a switch of protocols, stay in `rest`.
 */
export class MessageReader {
  readonly messages: HttpMessage[] = [];
  /** Why reading stopped; null while all is well. */
  malformed: string | null = null;
  rest: Buffer = Buffer.alloc(0);
  tunnel = false;
  #current: HttpMessage | null = null;
  #left = 0;
  #phase: "head" | "length" | "close" | "chunk-size" | "chunk-data" | "chunk-end" | "trailers" = "head";
  readonly #kind: "request" | "response";
  readonly #rule: BodylessRule;
  readonly #onHead: (message: HttpMessage) => void;
  readonly #onComplete: (message: HttpMessage) => void;

  constructor(
    kind: "request" | "response",
    on: {
      readonly rule?: BodylessRule;
      readonly head?: (message: HttpMessage) => void;
      readonly complete?: (message: HttpMessage) => void;
    } = {},
  ) {
    this.#kind = kind;
    this.#rule = on.rule ?? (() => "by-headers");
    this.#onHead = on.head ?? (() => {});
    this.#onComplete = on.complete ?? (() => {});
  }

  push(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    while (this.malformed === null && !this.tunnel && this.#step());
    changed();
  }

  /** The sender closed its side: completes a close-delimited body. */
  finish(): void {
    if (this.#phase === "close" && this.#current !== null) this.#complete(this.#current);
    changed();
  }

  #step(): boolean {
    switch (this.#phase) {
      case "head":
        return this.#readHead();
      case "length":
      case "close":
      case "chunk-data":
        return this.#readData();
      case "chunk-size":
        return this.#readChunkSize();
      case "chunk-end":
        return this.#readChunkEnd();
      case "trailers":
        return this.#readTrailers();
    }
  }

  #readHead(): boolean {
    const end = this.rest.indexOf("\r\n\r\n");
    if (end === -1) return false;
    const lines = this.rest.subarray(0, end).toString("latin1").split("\r\n");
    this.rest = this.rest.subarray(end + 4);
    const startLine = lines.shift() ?? "";
    if (!START_LINE[this.#kind].test(startLine)) return this.#fail(`start line ${JSON.stringify(startLine)}`);
    const rawHeaders = this.#fields(lines);
    if (rawHeaders === null) return false;
    return this.#begin(startLine, rawHeaders);
  }

  #begin(startLine: string, rawHeaders: readonly string[]): boolean {
    const verdict = this.#rule(startLine);
    const framing = verdict === "by-headers" ? this.#framing(rawHeaders) : "none";
    if (framing === null) return false;
    const message: HttpMessage = { startLine, rawHeaders, framing, pieces: [], trailers: [], complete: false };
    this.messages.push(message);
    this.#current = message;
    this.tunnel = verdict === "tunnel";
    this.#left = framing === "length" ? Number(valuesOf(rawHeaders, "content-length")[0]) : 0;
    const empty = framing === "none" || (framing === "length" && this.#left === 0);
    this.#phase = empty ? "head" : framing === "chunked" ? "chunk-size" : framing === "length" ? "length" : "close";
    this.#onHead(message);
    if (empty) this.#complete(message);
    return true;
  }

  #framing(rawHeaders: readonly string[]): HttpMessage["framing"] | null {
    const codings = valuesOf(rawHeaders, "transfer-encoding");
    const lengths = valuesOf(rawHeaders, "content-length");
    if (codings.length + lengths.length > 1) return this.#refuse("several framing fields");
    if (codings.length === 1) {
      return codings[0]?.toLowerCase() === "chunked" ? "chunked" : this.#refuse(`coding ${JSON.stringify(codings[0])}`);
    }
    if (lengths.length === 1) {
      return /^\d{1,15}$/.test(lengths[0] ?? "") ? "length" : this.#refuse(`length ${JSON.stringify(lengths[0])}`);
    }
    return this.#kind === "request" ? "none" : "close";
  }

  #readData(): boolean {
    if (this.rest.length === 0 || this.#current === null) return false;
    const take = this.#phase === "close" ? this.rest.length : Math.min(this.#left, this.rest.length);
    this.#current.pieces.push(this.rest.subarray(0, take));
    this.rest = this.rest.subarray(take);
    if (this.#phase === "close") return true;
    this.#left -= take;
    if (this.#left > 0) return false;
    if (this.#phase === "chunk-data") this.#phase = "chunk-end";
    else this.#complete(this.#current);
    return true;
  }

  #readChunkSize(): boolean {
    const end = this.rest.indexOf("\r\n");
    if (end === -1) return this.rest.length > 32 ? this.#fail("chunk size line too long") : false;
    const line = this.rest.subarray(0, end).toString("latin1");
    if (!/^[0-9A-Fa-f]{1,12}$/.test(line)) return this.#fail(`chunk size ${JSON.stringify(line)}`);
    this.rest = this.rest.subarray(end + 2);
    this.#left = Number.parseInt(line, 16);
    this.#phase = this.#left === 0 ? "trailers" : "chunk-data";
    return true;
  }

  #readChunkEnd(): boolean {
    if (this.rest.length < 2) return false;
    if (this.rest[0] !== 13 || this.rest[1] !== 10) return this.#fail("no line end after chunk data");
    this.rest = this.rest.subarray(2);
    this.#phase = "chunk-size";
    return true;
  }

  #readTrailers(): boolean {
    if (this.#current === null) return false;
    const none = this.rest.length >= 2 && this.rest[0] === 13 && this.rest[1] === 10;
    const end = none ? 0 : this.rest.indexOf("\r\n\r\n");
    if (end === -1) return false;
    const trailers = none ? [] : this.#fields(this.rest.subarray(0, end).toString("latin1").split("\r\n"));
    if (trailers === null) return false;
    this.rest = this.rest.subarray(none ? 2 : end + 4);
    this.#current.trailers = [...trailers];
    this.#complete(this.#current);
    return true;
  }

  #fields(lines: readonly string[]): readonly string[] | null {
    const fields: string[] = [];
    for (const line of lines) {
      const match = FIELD_LINE.exec(line);
      if (match === null) return this.#refuse(`field line ${JSON.stringify(line)}`);
      fields.push(match[1] ?? "", match[2] ?? "");
    }
    return fields;
  }

  #complete(message: HttpMessage): void {
    message.complete = true;
    this.#current = null;
    this.#phase = "head";
    this.#onComplete(message);
  }

  #refuse(why: string): null {
    this.malformed = why;
    return null;
  }

  #fail(why: string): boolean {
    this.malformed = why;
    return false;
  }
}

const START_LINE = {
  request: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ ]+ HTTP\/1\.[01]$/,
  response: /^HTTP\/1\.[01] [1-9]\d\d [^\r\n\0]*$/,
};

// Token, colon, optional blanks, visible bytes and inner blanks, optional blanks: no NUL, no bare CR or LF.
// oxlint-disable-next-line no-control-regex
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$/;
