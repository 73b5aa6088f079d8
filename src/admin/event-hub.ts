import type { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import type { StateEvent } from "../base/state-event.ts";
import { AdminError, COMMON_HEADERS } from "./reply.ts";

/** Limits of the event streams. */
export interface EventHubOptions {
  readonly clock: Clock;
  /** Pause between comments that keep an idle stream open, in milliseconds; default 15 000. */
  readonly keepAliveMs?: number;
  /** A client with more unread bytes than this is dropped; default 256 KiB. */
  readonly maxUnreadBytes?: number;
  /** Streams at once; default 64. */
  readonly maxStreams?: number;
  /** Events that a client can catch up on; default 1000. */
  readonly kept?: number;
}

interface KeptEvent {
  readonly number: number;
  readonly frame: string;
}

/**
 * State events as server-sent events. Ids are `RUN.NUMBER`: RUN names the process, so that a client that comes back
 * after a restart, or after too long, is told that it missed something (`event: gap`).
 */
export class EventHub {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #maxUnreadBytes: number;
  readonly #maxStreams: number;
  readonly #kept: number;
  readonly #run: string;
  readonly #ring: KeptEvent[] = [];
  readonly #streams = new Set<ServerResponse>();
  #count = 0;
  #keepAlive: NodeJS.Timeout | null = null;

  constructor(options: EventHubOptions) {
    const { clock, keepAliveMs = 15_000, maxUnreadBytes = 256 * 1024, maxStreams = 64, kept = 1000 } = options;
    this.#clock = clock;
    this.#keepAliveMs = keepAliveMs;
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#maxStreams = maxStreams;
    this.#kept = kept;
    this.#run = Math.floor(clock.wallMs()).toString(36);
  }

  /** How many clients listen. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Sends an event to every stream and keeps it for those that come back. */
  publish(event: StateEvent): void {
    const number = ++this.#count;
    const at = new Date(this.#clock.wallMs()).toISOString();
    const data = JSON.stringify({ ...event.fields, at, level: event.level, message: event.message }, plainValue);
    const frame = `id: ${this.#run}.${number}\nevent: ${event.name}\ndata: ${data}\n\n`;
    this.#ring.push({ number, frame });
    if (this.#ring.length > this.#kept) this.#ring.shift();
    for (const stream of this.#streams) this.#send(stream, frame);
  }

  /** Makes `response` a stream; `lastEventId`: what the client has seen, null for a new one. Throws AdminError when full. */
  open(response: ServerResponse, lastEventId: string | null): void {
    if (this.#streams.size >= this.#maxStreams) {
      const headers = { "retry-after": "5" };
      throw new AdminError(503, "too_many_streams", `At most ${this.#maxStreams} event streams are served.`, {
        headers,
      });
    }
    response.writeHead(200, { ...COMMON_HEADERS, "content-type": "text/event-stream", "x-accel-buffering": "no" });
    response.write(`retry: 2000\n\n${this.#missedBy(lastEventId)}`);
    this.#streams.add(response);
    response.once("close", () => this.#forget(response));
    this.#keepAlive ??= setInterval(() => this.#sendComment(), this.#keepAliveMs);
  }

  /** Ends every stream. */
  close(): void {
    for (const stream of this.#streams) {
      stream.end();
      this.#forget(stream);
    }
  }

  #send(stream: ServerResponse, text: string): void {
    if (stream.writableLength + text.length > this.#maxUnreadBytes) {
      stream.destroy();
      this.#forget(stream);
      return;
    }
    stream.write(text);
  }

  #sendComment(): void {
    for (const stream of this.#streams) this.#send(stream, ": still here\n\n");
  }

  #forget(stream: ServerResponse): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0 || this.#keepAlive === null) return;
    clearInterval(this.#keepAlive);
    this.#keepAlive = null;
  }

  #missedBy(lastEventId: string | null): string {
    if (lastEventId === null) return "";
    const [run, digits = ""] = lastEventId.split(".");
    const seen = run === this.#run && /^\d{1,15}$/.test(digits) ? Number(digits) : -1;
    const oldest = this.#ring[0]?.number ?? this.#count + 1;
    const complete = seen >= oldest - 1 && seen <= this.#count;
    const frames = this.#ring.filter(({ number }) => !complete || number > seen).map(({ frame }) => frame);
    const gap = complete ? "" : `event: gap\ndata: ${JSON.stringify({ after: lastEventId.slice(0, 64) })}\n\n`;
    return gap + frames.join("");
  }
}

/** What JSON has no form for, as text. */
function plainValue(_: string, value: unknown): unknown {
  if (value instanceof Error) return value.message;
  return typeof value === "bigint" ? String(value) : value;
}
