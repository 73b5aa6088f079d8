import type { RequestHead } from "../model/exchange-types.ts";
import { headerValue } from "../model/headers.ts";
import { grpcTimeoutMs, isGrpc } from "../policy/grpc.ts";
import type { Timed } from "../transport/deadlines.ts";
import type { BoundArm } from "./bound-arm.ts";
import type { Road } from "./road.ts";

/** What has a deadline for the head of its answer, tries and fallbacks included. */
interface Limited extends Timed {
  readonly road: Road;
  readonly head: RequestHead;
  readonly arm: BoundArm | null;
}

/** Starts the deadline once, at the end of the request: the upstream's own, or a gRPC caller's if that is sooner. */
export function startDeadline(exchange: Limited): void {
  if (exchange.arm === null || exchange.listIndex !== -1) return;
  const ownMs = exchange.arm.upstream.spec.timeouts.requestTimeoutMs;
  const callersMs = callersLimitMs(exchange.head);
  const limitMs = callersMs === null ? ownMs : Math.min(ownMs === 0 ? Infinity : ownMs, callersMs);
  if (limitMs > 0) exchange.road.deadlines.set(exchange, limitMs);
}

function callersLimitMs({ method, headers }: RequestHead): number | null {
  // All gRPC is POST, and nothing else should pay for looking.
  if (method !== "POST" || !isGrpc(headerValue(headers, "content-type"))) return null;
  return grpcTimeoutMs(headerValue(headers, "grpc-timeout"));
}
