import { readFile } from "node:fs/promises";
import { request as requestHttp } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { userInfo } from "node:os";

/** How to reach a control API. */
export interface ClientOptions {
  /** Such as `http://127.0.0.1:9901`. */
  readonly url: string;
  /** Null: no token is sent. */
  readonly tokenFile: string | null;
}

/** A call of the control API. */
export interface Call {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Below `/api/v1/`. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** The call did not succeed; the message says what to do. */
export class CallError extends Error {
  override readonly name = "CallError";
}

/** Longest silence of a server that should answer, in milliseconds; event streams may be silent for longer. */
const ANSWER_TIMEOUT_MS = 20_000;

/** Makes a call and gives back its JSON; rejects with CallError. */
export async function callApi(options: ClientOptions, call: Call): Promise<unknown> {
  const answer = await send(options, call);
  const text = await textOf(answer);
  const json = jsonFrom(text);
  if (answer.statusCode === 200 && json !== null) return json;
  throw new CallError(errorText(answer, json));
}

/** Opens the event stream; `onText` hears what comes until the server ends it. Rejects with CallError. */
export async function readEvents(options: ClientOptions, onText: (text: string) => void): Promise<void> {
  const answer = await send(options, { method: "GET", path: "events" });
  if (answer.statusCode !== 200) throw new CallError(errorText(answer, jsonFrom(await textOf(answer))));
  answer.setEncoding("utf8");
  answer.socket.setTimeout(0);
  try {
    for await (const text of answer) onText(text as string);
  } catch {
    throw new CallError("the event stream was cut: the sidecar ended or dropped this reader");
  }
}

async function send(options: ClientOptions, { method, path, body }: Call): Promise<IncomingMessage> {
  const url = urlOf(options.url, path);
  const token = options.tokenFile === null ? null : await readTokenFile(options.tokenFile);
  const text = body === undefined ? null : JSON.stringify(body);
  const headers = {
    accept: path === "events" ? "text/event-stream" : "application/json",
    "x-crossfade-actor": actorName(),
    ...(token !== null && { authorization: `Bearer ${token}` }),
    ...(text !== null && { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  const outgoing = request(url, { method, headers, agent: false, timeout: ANSWER_TIMEOUT_MS }, resolve);
  outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${ANSWER_TIMEOUT_MS / 1000} s`)));
  outgoing.on("error", (error) => reject(unreachable(options.url, error)));
  outgoing.end(text ?? undefined);
  return promise;
}

function urlOf(base: string, path: string): URL {
  const url = URL.parse(`api/v1/${path}`, base.endsWith("/") ? base : `${base}/`);
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new CallError(`--admin: ${JSON.stringify(base)} is not a URL such as http://127.0.0.1:9901`);
}

async function readTokenFile(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new CallError(`--token-file: ${JSON.stringify(path)} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Who is at the terminal, as the audit log should say. */
function actorName(): string {
  try {
    const name = userInfo()
      .username.replaceAll(/[^A-Za-z0-9._-]/g, "-")
      .slice(0, 59);
    return /^[A-Za-z0-9]/.test(name) ? `ctl:${name}` : "ctl";
  } catch {
    // A container may run under a user id that no user has.
    return "ctl";
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  answer.setEncoding("utf8");
  try {
    for await (const chunk of answer) text += chunk as string;
  } catch (cause) {
    throw new CallError("the answer was cut off", { cause });
  }
  return text;
}

function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function errorText({ statusCode }: IncomingMessage, json: unknown): string {
  const { error } = (json ?? {}) as { readonly error?: { readonly code?: unknown; readonly message?: unknown } };
  if (typeof error?.message !== "string") {
    return `answered ${statusCode} without an error of crossfade's: is this the admin address and not another?`;
  }
  const hint = statusCode === 401 ? " Give it with --token-file or CROSSFADE_ADMIN_TOKEN_FILE." : "";
  return `${error.message}${hint} (${statusCode} ${String(error.code)})`;
}

function unreachable(url: string, error: NodeJS.ErrnoException): CallError {
  const detail = error.message === "" ? (error.code ?? error.name) : error.message;
  if (error.code === "ECONNREFUSED") {
    return new CallError(
      `nothing listens on ${url}: start the sidecar with an admin address, or name it with --admin URL ` +
        `or CROSSFADE_ADMIN_URL (${detail})`,
    );
  }
  return new CallError(`${url} cannot be reached: ${detail}`);
}
