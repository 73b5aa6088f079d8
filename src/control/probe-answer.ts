import type { Dispatcher } from "undici";
import type { HealthCheckSpec } from "../model/snapshot.ts";
import { failed, PASS, type ProbeResult } from "../policy/health.ts";
import { resultOfError } from "./probe-errors.ts";

/** What the answer to an HTTP probe must be. */
type Expected = Pick<Extract<HealthCheckSpec, { kind: "http" }>, "expectStatus" | "expectBody" | "expectHeaders">;

type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** How much of a body is looked at and read; behind it the connection is dropped. */
const BODY_LIMIT = 65_536;
const UNAVAILABLE = 503;

/**
 * The answer to one HTTP probe, judged as it comes. What the head says is final, but the body is still read, so that the
 * connection can be used again.
 */
export class HttpAnswer implements Dispatcher.DispatchHandler {
  /** The answer was read to its end: the connection is good for another. */
  clean = false;
  /** Nothing of an answer has come. */
  unheard = true;
  readonly #expected: Expected;
  #outcome = Promise.withResolvers<ProbeResult>();
  #controller: Dispatcher.DispatchController | null = null;
  #verdict: ProbeResult | null = null;
  #body: Buffer[] = [];
  #bodyBytes = 0;

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  /** What came of the probe. */
  get result(): Promise<ProbeResult> {
    return this.#outcome.promise;
  }

  /** Begins anew, for a second try. */
  restart(): void {
    this.#outcome = Promise.withResolvers();
    this.#controller = null;
  }

  /** The time is over. */
  expire(timeoutMs: number): void {
    const what = this.#controller === null ? "connection" : this.unheard ? "answer" : "complete answer";
    this.cancel(failed("timeout", `no ${what} within ${timeoutMs} ms`));
  }

  /** Ends the probe with this result, unless the head has decided already. */
  cancel(result: ProbeResult): void {
    this.#outcome.resolve(this.#verdict ?? result);
    this.#controller?.abort(new Error("the probe is over"));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    this.unheard = false;
    // Interim answers are not the answer.
    if (status >= 200) this.#verdict = this.#judgeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bodyBytes < BODY_LIMIT) this.#body.push(chunk.subarray(0, BODY_LIMIT - this.#bodyBytes));
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes <= BODY_LIMIT) return;
    this.#conclude();
    controller.abort(new Error("the probe has read enough"));
  }

  onResponseEnd(): void {
    this.clean = true;
    this.#conclude();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#outcome.resolve(this.#verdict ?? resultOfError(error));
  }

  #conclude(): void {
    this.#outcome.resolve(this.#verdict ?? this.#judgeBody());
  }

  #judgeHead(status: number, headers: AnswerHeaders): ProbeResult | null {
    const { expectStatus, expectHeaders } = this.#expected;
    if (!expectStatus.some(([first, last]) => status >= first && status <= last)) {
      return failed("status", `status ${status}`, status === UNAVAILABLE);
    }
    const other = Object.entries(expectHeaders).find(([name, value]) => !holds(headers[name], value));
    // Without the values: they may be somebody's secret.
    return other === undefined ? null : failed("header", `header ${other[0]} is absent or has another value`);
  }

  #judgeBody(): ProbeResult {
    const { expectBody } = this.#expected;
    if (expectBody === null || Buffer.concat(this.#body).includes(expectBody)) return PASS;
    return failed("body", "the expected text is not in the first 64 KiB of the body");
  }
}

function holds(found: string | string[] | undefined, value: string): boolean {
  return Array.isArray(found) ? found.includes(value) : found === value;
}
