import type { Failure } from "../../src/base/failure.ts";
import type { AttemptInfo, Chunk, RawHeaders, ResponseHead, ResponseSink } from "../../src/model/exchange-types.ts";
import { changed, until } from "./until.ts";

/** A sink that writes down what it hears, in order, and can refuse data. */
export class RecordingSink implements ResponseSink {
  /** `head 200`, `data 5`, `end`, `failure KIND`, in the order heard. Drains are counted apart. */
  readonly heard: string[] = [];
  readonly heads: ResponseHead[] = [];
  body = "";
  trailers: RawHeaders | null = null;
  failure: Failure | null = null;
  info: AttemptInfo | null = null;
  drains = 0;
  /** Answers `onData` with this. */
  flowing = true;
  /** Called with each drain. */
  whenDrained: (() => void) | null = null;

  onHead(head: ResponseHead): void {
    this.heads.push(head);
    this.#note(`head ${head.status}`);
  }

  onData(chunk: Chunk): boolean {
    this.body += typeof chunk === "string" ? chunk : chunk.toString("latin1");
    this.#note(`data ${chunk.length}`);
    return this.flowing;
  }

  onEnd(trailers: RawHeaders | null): void {
    this.trailers = trailers;
    this.#note("end");
  }

  onFailure(failure: Failure, info: AttemptInfo): void {
    this.failure = failure;
    this.info = info;
    this.#note(`failure ${failure.kind}`);
  }

  onDrain(): void {
    this.drains++;
    this.whenDrained?.();
    changed();
  }

  onFlush(): void {}

  unsentBytes(): number {
    return Infinity;
  }

  /** Waits for the one last thing a sink hears, and gives it back. */
  async over(): Promise<string> {
    return until(
      () => this.heard.find((what) => what === "end" || what.startsWith("failure")),
      "the attempt to be over",
      {
        detail: () => this.heard.join(", "),
      },
    );
  }

  /** What was heard with runs of data made one. */
  get story(): string {
    const kinds = this.heard.map((what) => (what.startsWith("data") ? "data" : what));
    return kinds.filter((what, i) => what !== "data" || kinds[i - 1] !== "data").join(", ");
  }

  #note(what: string): void {
    this.heard.push(what);
    changed();
  }
}
