import type { Socket } from "node:net";
import type { Origin } from "../codec/request-head.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";

const FACTS = Symbol("crossfade connection");

/** What we keep per client connection; read from the socket once, it costs a system call each time. */
export interface ConnectionFacts extends Origin {
  /** We have said our last word: whatever is still parsed from this connection is not served. */
  closing: boolean;
  /** The answer that ends this connection has begun: nothing behind it is served, though it may have been parsed. */
  ending: boolean;
  /** An exchange is under way; one at a time, so that a client's share of the upstream pool is its connections. */
  busy: boolean;
  /** Serves the next pipelined request. */
  readonly waiting: (() => void)[];
  /** Exchanges begun and not over; a tunnel is one that never ends. */
  underWay: number;
  /** Exchanges that are over. */
  served: number;
  /** `bytesRead` of the socket when it last fell idle: more than that, and the next head has begun. */
  restedAt: number;
}

/** The facts of a client connection. */
export function factsOf(socket: Socket): ConnectionFacts {
  const held = socket as Socket & { [FACTS]?: ConnectionFacts };
  held[FACTS] ??= {
    ...originOf(socket),
    closing: false,
    ending: false,
    busy: false,
    waiting: [],
    underWay: 0,
    served: 0,
    restedAt: 0,
  };
  return held[FACTS];
}

/** Where a connection comes from and to. */
export function originOf(socket: Socket): Origin {
  return {
    peerAddress: unmapped(socket.remoteAddress ?? ""),
    localPort: socket.localPort ?? 0,
    encrypted: "encrypted" in socket,
  };
}

/** IPv4 addresses of dual-stack listeners in their usual form. */
function unmapped(address: string): string {
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

/** How long, in ms, a connection is read and thrown away behind our last word. */
export const LINGER_MS = 2_000;
/** How many bytes of it at most. */
export const LINGER_BYTES = 1_048_576;

/**
 * Closes a connection whose client may still be sending: our answer's end first, then the rest is read and thrown away
 * for 2 s or 1 MiB. Closing at once would make the kernel send a reset that can overtake the answer (RFC 9112 §9.6).
 */
export function lingerClose(socket: Socket, deadlines: Deadlines): void {
  const facts = factsOf(socket);
  if (facts.closing) return;
  facts.closing = true;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const limit = socket.bytesRead + LINGER_BYTES;
  const ending: Expiring = { onExpired: () => socket.destroy() };
  const deadline = deadlines.start(LINGER_MS, ending);
  socket.once("close", () => deadline.stop());
  socket.once("end", () => socket.destroy());
  socket.on("data", () => {
    if (socket.bytesRead > limit) socket.destroy();
  });
  socket.end();
  socket.resume();
}
