import type http from "node:http";

/** How an upstream process treats requests that are no health checks; a test may change it at any time. */
export type Conduct =
  | { readonly kind: "good" }
  /** Answers rightly, but so many milliseconds late. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** Takes requests and never answers. */
  | { readonly kind: "silent" }
  /** Answers each n-th request with this status, the others rightly. `every` is 1 unless told. */
  | { readonly kind: "failing"; readonly status: number; readonly every?: number }
  /** RST instead of an answer. */
  | { readonly kind: "resetting before the head" }
  /** A right head that promises a body, a part of it, then RST. */
  | { readonly kind: "resetting after the head" }
  /** Bytes that are no HTTP. */
  | { readonly kind: "garbling" }
  /** Answers rightly and closes the connection. */
  | { readonly kind: "closing" };

/** What it says to health checks: a status, or nothing at all. */
export type HealthAnswer = number | "silent";

/** A request that arrived. `arrived` and `answered` count what happened in the process, so that they tell the order. */
export interface Sighting {
  readonly method: string;
  readonly target: string;
  readonly arrived: number;
  /** null: not answered. */
  readonly answered: number | null;
}

/** All that an upstream process has seen since it was started. */
export interface Sightings {
  /** Without health checks. */
  readonly requests: readonly Sighting[];
  readonly healthChecks: number;
  /** Most connections that were open at once, those of health checks included. */
  readonly mostConnections: number;
}

/** What a test tells an upstream process, and what it says to that. */
export type Order =
  | { readonly kind: "behave"; readonly conduct: Conduct }
  | { readonly kind: "answer health checks"; readonly answer: HealthAnswer }
  /** Its port refuses from then on, and its connections are gone. */
  | { readonly kind: "refuse" }
  | { readonly kind: "listen" }
  | { readonly kind: "tell" };

/** An order on its way; the reply to it carries the same number. */
export interface NumberedOrder {
  readonly number: number;
  readonly order: Order;
}

/** Said when the order is carried out. */
export interface OrderReply {
  readonly number: number;
  readonly sightings: Sightings;
}

/**
 * Does to a request what the conduct says. `answer` gives the right answer; `count` counts the requests, from 1.
 */
export function misbehave(
  conduct: Conduct,
  count: number,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  answer: () => void,
): void {
  switch (conduct.kind) {
    case "good":
      answer();
      return;
    case "slow":
      setTimeout(answer, conduct.delayMs);
      return;
    case "silent":
      return;
    case "failing":
      if (count % (conduct.every ?? 1) === 0) response.writeHead(conduct.status, { "content-length": 0 }).end();
      else answer();
      return;
    case "resetting before the head":
      request.socket.resetAndDestroy();
      return;
    case "resetting after the head":
      // A RST right behind the bytes would destroy them on their way: let them leave first.
      request.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning", () => {
        setImmediate(() => request.socket.resetAndDestroy());
      });
      return;
    case "garbling":
      request.socket.write("\u0016\u0003\u0001 this is no HTTP\r\n\r\n");
      return;
    case "closing":
      response.shouldKeepAlive = false;
      answer();
  }
}
