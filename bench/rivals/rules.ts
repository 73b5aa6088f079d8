/** What each of the rivals in Node does with a request: the same split and the same header fields as the sidecar. */
import { randomUUID } from "node:crypto";
import type http from "node:http";
import type { AddressInfo } from "node:net";
import { bucketOfKey } from "../../src/model/split.ts";
import type { UpstreamPorts } from "../contestant.ts";

/** What is read of a request. */
export type Asked = Pick<http.IncomingMessage, "headers" | "socket">;

const CANDIDATE_PPM = 100_000;

/** Where v1 and v2 answer, from the command line. */
export const upstream = JSON.parse(process.argv[2] ?? "null") as UpstreamPorts;

/** The arm of a caller: a tenth goes to v2, by the hash of x-user-id. */
export function armOf(fields: http.IncomingHttpHeaders): keyof UpstreamPorts {
  return bucketOfKey("api", String(fields["x-user-id"])) < CANDIDATE_PPM ? "v2" : "v1";
}

/** A new request id. */
export function newRequestId(): string {
  return randomUUID();
}

/** The fields to send upstream: those that came, the caller's own Host among them, and the forwarded ones over them. */
export function forwardedFields(request: Asked, requestId: string): Record<string, string> {
  const host = request.headers.host ?? "";
  return {
    ...(request.headers as Record<string, string>),
    host,
    "x-forwarded-for": request.socket.remoteAddress ?? "",
    "x-forwarded-proto": "http",
    "x-forwarded-host": host,
    "x-forwarded-port": String(request.socket.localPort),
    via: "1.1 rival",
    "x-request-id": requestId,
  };
}

/** Says where the server listens, for who started it. */
export function printPort(address: AddressInfo | string | null): void {
  if (typeof address === "object" && address !== null) process.stdout.write(`port ${address.port}\n`);
}
