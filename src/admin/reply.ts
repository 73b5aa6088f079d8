import type { ServerResponse } from "node:http";

/** What a handler answers; `events` keeps the connection open as an event stream. */
export type AdminReply = JsonReply | PageReply | { readonly kind: "events" };

/** An answer in JSON. */
export interface JsonReply {
  readonly kind: "json";
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A page for a browser. */
export interface PageReply {
  readonly kind: "page";
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** An answer of 200 with a JSON body. */
export function ok(body: unknown): JsonReply {
  return { kind: "json", status: 200, body };
}

/** Stops the handling of a request; becomes `{"error":{"code","message",…}}`. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further fields of the error object, such as `problems`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = more.headers ?? {};
    this.details = more.details ?? {};
  }
}

/** The answer that an error stands for. */
export function replyFromError(error: AdminError): JsonReply {
  const body = { error: { code: error.code, message: error.message, ...error.details } };
  return { kind: "json", status: error.status, body, headers: error.headers };
}

/** Headers of every answer: nothing of the control API may be cached, framed or sniffed. */
export const COMMON_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
} as const;

/** Writes an answer that is complete; Node leaves the body out for HEAD. */
export function sendReply(response: ServerResponse, reply: JsonReply | PageReply): void {
  const isPage = reply.kind === "page";
  const text = isPage ? reply.html : `${JSON.stringify(reply.body)}\n`;
  response.writeHead(isPage ? 200 : reply.status, {
    ...COMMON_HEADERS,
    "content-type": isPage ? "text/html; charset=utf-8" : "application/json",
    "content-length": Buffer.byteLength(text),
    ...reply.headers,
  });
  response.end(text);
}
