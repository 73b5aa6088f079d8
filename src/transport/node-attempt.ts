import { request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import type { Circuit } from "../policy/circuit-cell.ts";
import { request as httpsRequest } from "node:https";
import { failure, type Failure, type FailureKind } from "../base/failure.ts";
import type { AttemptOptions, Chunk, OutgoingHead, RawHeaders, ResponseSink } from "../model/exchange-types.ts";
import { fieldsFromText } from "../model/field-lines.ts";
import { AttemptState } from "./attempt-state.ts";
import { tlsOptions } from "./upstream-tls.ts";
import type { UndiciConnection } from "./undici-connection.ts";
import type { Endpoint } from "./endpoints.ts";
import type { PooledAttempt, UpstreamPool } from "./upstream-pool.ts";
import { failureFromError } from "./upstream-errors.ts";

/**
 * One try over `node:http`, for what undici refuses or drops: `Expect: 100-continue`, whose 100 must come from the
 * upstream, request trailers, and a head that goes ahead of its body. Each has a connection of its own, closed afterwards.
 */
export class NodeAttempt implements PooledAttempt<UndiciConnection> {
  listIndex = -1;
  readonly wantsFresh = true;
  readonly mayShare = false;
  readonly #pool: UpstreamPool<UndiciConnection>;
  readonly #head: OutgoingHead;
  readonly #state: AttemptState;
  #endpoint: Endpoint<UndiciConnection> | null = null;
  #request: ClientRequest | null = null;
  #answer: IncomingMessage | null = null;
  #held: Chunk[] = [];
  #heldEnd: { readonly trailers: RawHeaders | null } | null = null;

  constructor(pool: UpstreamPool<UndiciConnection>, head: OutgoingHead, sink: ResponseSink, options: AttemptOptions) {
    this.#pool = pool;
    this.#head = head;
    this.#state = new AttemptState(sink, this, pool, head.method, options);
    if (head.body.kind === "none") this.#state.requestDone();
  }

  run(endpoint: Endpoint<UndiciConnection>): void {
    this.#endpoint = endpoint;
    this.#state.granted();
    const send = endpoint.spec.scheme === "https" ? httpsRequest : httpRequest;
    const request = send(this.#requestOptions(endpoint));
    this.#request = request;
    this.#listen(request);
    // With an Expect, Node sends the head by itself, in the encoding of the socket: UTF-8 unless told.
    request.once("socket", (socket) => socket.setDefaultEncoding("latin1"));
    // Not flushHeaders(), which would write bytes above 0x7f as UTF-8.
    if (this.#head.expectsContinue || this.#head.bodyFollowsLater) request.write("", "latin1");
    for (const chunk of this.#held.splice(0)) request.write(chunk, "latin1");
    if (this.#heldEnd !== null || this.#head.body.kind === "none") this.#finishRequest(this.#heldEnd?.trailers ?? null);
  }

  refuse(why: FailureKind): void {
    this.#state.fail(failure(why));
  }

  atEndpoint(circuit: Circuit, ticket: number): void {
    this.#state.report?.atEndpoint(circuit, ticket);
  }

  expire(): void {
    this.#state.giveUp(failure("draining"));
  }

  write(chunk: Chunk): boolean {
    if (this.#state.done) return true;
    if (this.#request !== null) return this.#state.offered(this.#request.write(chunk, "latin1"));
    this.#held.push(chunk);
    return false;
  }

  end(trailers: RawHeaders | null): void {
    if (this.#state.done || this.#head.body.kind === "none") return;
    this.#state.requestDone();
    if (this.#request === null) this.#heldEnd = { trailers };
    else this.#finishRequest(trailers);
  }

  resume(): void {
    this.#state.resumed();
    this.#answer?.resume();
  }

  abort(why: Failure): void {
    this.#state.aborted(why);
  }

  cancel(_why: Failure): void {
    this.#giveBack();
  }

  #listen(request: ClientRequest): void {
    request.on("socket", (socket) => {
      const connected = (): void => {
        this.#state.sent = true;
        this.#pool.countOpened();
        if (this.#held.length === 0) this.#state.drained();
      };
      socket.once(this.#endpoint?.spec.scheme === "https" ? "secureConnect" : "connect", connected);
    });
    request.on("drain", () => this.#state.drained());
    request.on("continue", () => this.#state.head({ status: 100, reason: "Continue", headers: [] }));
    request.on("information", ({ statusCode, statusMessage, rawHeaders }) => {
      if (statusCode !== 100) this.#state.head({ status: statusCode, reason: statusMessage, headers: rawHeaders });
    });
    request.on("response", (answer) => this.#onResponse(answer));
    request.on("upgrade", (_answer, socket) => {
      socket.destroy();
      this.#state.giveUp(failure("bad-answer", "101 that nobody asked for"));
    });
    request.on("timeout", () => this.#state.giveUp(failure("connect-timeout")));
    request.on("error", (error) => this.#state.giveUp(this.#failureFrom(error)));
  }

  #onResponse(answer: IncomingMessage): void {
    this.#answer = answer;
    const head = { status: answer.statusCode ?? 0, reason: answer.statusMessage ?? "", headers: answer.rawHeaders };
    if (!this.#state.head(head)) return;
    this.#state.flush();
    answer.on("data", (chunk: Buffer) => {
      if (!this.#state.data(chunk)) answer.pause();
      this.#state.flush();
    });
    answer.on("end", () => {
      const trailers = answer.rawTrailers.length === 0 ? null : answer.rawTrailers;
      this.#giveBack();
      this.#state.end(trailers);
    });
    answer.on("error", (error) => this.#state.giveUp(this.#failureFrom(error)));
  }

  #failureFrom(error: unknown): Failure {
    return failureFromError(error, {
      connected: this.#state.sent,
      answering: this.#state.answering,
      staleCandidate: false,
    });
  }

  #giveBack(): void {
    const endpoint = this.#endpoint;
    this.#endpoint = null;
    this.#request?.destroy();
    this.#pool.release(this, endpoint, null);
  }

  #finishRequest(trailers: RawHeaders | null): void {
    const request = this.#request as ClientRequest;
    if (trailers !== null && this.#head.body.kind === "chunked") request.addTrailers(pairsOf(trailers));
    request.end();
  }

  #requestOptions(endpoint: Endpoint<UndiciConnection>): RequestOptions {
    const { method, target, fields, body } = this.#head;
    const all = fieldsFromText(fields);
    if (body.kind === "length") all.push("content-length", String(body.length));
    if (body.kind === "chunked") all.push("transfer-encoding", "chunked");
    if (this.#head.expectsContinue) all.push("expect", "100-continue");
    all.push("connection", "close");
    return {
      agent: false,
      host: endpoint.spec.host,
      port: endpoint.spec.port,
      ...(endpoint.spec.socketPath === null ? {} : { socketPath: endpoint.spec.socketPath }),
      method,
      path: target,
      headers: all,
      setHost: false,
      timeout: this.#pool.spec.timeouts.connectTimeoutMs,
      maxHeaderSize: this.#pool.spec.maxHeaderBytes,
      ...tlsOptions(this.#pool.spec, endpoint.spec),
    };
  }
}

function pairsOf(flat: RawHeaders): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string]);
  return pairs;
}
