import type { Socket } from "node:net";
import { Client, type buildConnector, type Dispatcher } from "undici";
import type { EndpointSpec, HealthCheckSpec } from "../model/snapshot.ts";
import { failed, type ProbeResult } from "../policy/health.ts";
import { VERSION } from "../version.ts";
import { startDeadline } from "./probe-deadline.ts";
import { dial } from "./probe-dial.ts";
import { HttpAnswer } from "./probe-answer.ts";
import { authorityOf, type Probe, type ProbeTarget } from "./probe.ts";

/** The check of an HTTP probe. */
type HttpCheck = Extract<HealthCheckSpec, { kind: "http" }>;

/** A probe that asks over HTTP/1.1, on one connection that is kept as long as the endpoint keeps it. */
export function openHttpProbe(target: ProbeTarget, check: HttpCheck): Probe {
  return new HttpProbe(target, check);
}

class HttpProbe implements Probe {
  readonly #target: ProbeTarget;
  readonly #check: HttpCheck;
  readonly #request: Dispatcher.DispatchOptions;
  #client: Client | null = null;
  #socket: Socket | null = null;
  #dials = 0;
  #closed = false;
  #answer: HttpAnswer | null = null;

  constructor(target: ProbeTarget, check: HttpCheck) {
    this.#target = target;
    this.#check = check;
    this.#request = requestOf(target.endpoint, check);
  }

  async run(): Promise<ProbeResult> {
    const dialsBefore = this.#dials;
    const { timeoutMs } = this.#target.health;
    const answer = new HttpAnswer(this.#check);
    this.#answer = answer;
    const stopDeadline = startDeadline(timeoutMs, () => answer.expire(timeoutMs));
    this.#ask(answer);
    let result = await answer.result;
    // Closed by the endpoint just as it was used again: that says nothing about the endpoint.
    if (isReset(result) && answer.unheard && this.#dials === dialsBefore && !this.#closed) {
      answer.restart();
      this.#ask(answer);
      result = await answer.result;
    }
    stopDeadline();
    if (!answer.clean) this.#drop();
    return result;
  }

  close(): void {
    this.#closed = true;
    this.#answer?.cancel(failed("reset", "the probe was given up"));
    this.#drop();
  }

  #ask(answer: HttpAnswer): void {
    this.#client ??= this.#open();
    this.#client.dispatch(this.#request, answer);
  }

  /** A client that is destroyed does not end the connection that it is still waiting for. */
  #drop(): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#client?.destroy().catch(() => {});
    this.#client = null;
  }

  #open(): Client {
    const { endpoint, upstream, health } = this.#target;
    // The next probe must still find it open.
    const keepAliveTimeout = 2 * Math.max(health.intervalMs, health.unhealthyIntervalMs);
    return new Client(`${endpoint.scheme}://${authorityOf(endpoint)}`, {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: upstream.maxHeaderBytes,
      keepAliveTimeout,
      connect: (_options, callback) => this.#dial(callback),
    });
  }

  #dial(callback: buildConnector.Callback): void {
    this.#dials++;
    const giveUp = (error: Error): void => callback(error, null);
    const socket = dial(this.#target, () => {
      socket.off("error", giveUp);
      callback(null, socket);
    });
    socket.once("error", giveUp);
    this.#socket = socket;
  }
}

function isReset(result: ProbeResult): boolean {
  return result.kind === "fail" && result.reason === "reset";
}

function requestOf(endpoint: EndpointSpec, check: HttpCheck): Dispatcher.DispatchOptions {
  const headers: Record<string, string> = { "user-agent": `crossfade-health/${VERSION}` };
  for (const [name, value] of Object.entries(check.headers)) headers[name.toLowerCase()] = value;
  headers["host"] = check.host ?? authorityOf(endpoint);
  return { method: check.method, path: check.path, headers };
}
