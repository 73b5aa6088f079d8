import { interimHeaders, isBodyless, safeTrailers } from "../model/answer.ts";
import type { Chunk, Downstream, OutgoingAnswer, RawHeaders, ResponseHead } from "../model/exchange-types.ts";
import type { LocalReply } from "./local-reply.ts";

/** The client's side of one exchange: what of an answer it has seen. */
export class Reply {
  /** 0 until the client has seen a status line. */
  status = 0;
  bytesOut = 0;
  readonly #downstream: Downstream;
  readonly #method: string;
  #standing: "nothing" | "head" | "end" = "nothing";
  #bodyless = false;

  constructor(downstream: Downstream, method: string) {
    this.#downstream = downstream;
    this.#method = method;
  }

  /** The client has seen a status line, so nothing else can be answered. */
  get committed(): boolean {
    return this.#standing !== "nothing";
  }

  /** A 101 is never relayed here, and a 100 only to a client that waits for it. */
  relayInterim(head: ResponseHead, clientWaits: boolean): void {
    const unwanted = head.status === 101 || (head.status === 100 && !clientWaits);
    const headers = unwanted ? null : interimHeaders(head);
    if (headers !== null) this.#downstream.sendInformation(head.status, headers);
  }

  /** The head of an answer whose body follows. `close`: the connection ends with it. */
  begin(head: OutgoingAnswer, close: boolean): void {
    this.status = head.status;
    this.#standing = "head";
    this.#bodyless = isBodyless(this.#method, head.status);
    this.#downstream.sendHead(head, { close, bodyless: this.#bodyless });
  }

  /** false = hold back until the client takes more. */
  data(chunk: Chunk): boolean {
    if (this.#bodyless) return true;
    this.bytesOut += chunk.length;
    return this.#downstream.sendData(chunk);
  }

  end(trailers: RawHeaders | null): void {
    this.#standing = "end";
    this.#downstream.sendEnd(safeTrailers(trailers));
  }

  /** A whole answer at once. */
  whole({ head, body }: LocalReply, close: boolean): void {
    this.begin(head, close);
    for (const chunk of body) this.data(chunk);
    this.end(null);
  }

  /** Cuts the connection: what was sent must not look complete. */
  abort(): void {
    this.#downstream.abort();
  }

  /** What came together has been told. */
  flush(): void {
    if (this.#standing === "head") this.#downstream.flush();
  }

  unsentBytes(): number {
    return this.#standing === "head" ? this.#downstream.unsentBytes() : Infinity;
  }
}
