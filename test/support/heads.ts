import type { RequestHead } from "../../src/model/exchange-types.ts";

/** A request head for tests of pure rules; headers as a flat list. */
export function headOf(parts: Partial<RequestHead> = {}): RequestHead {
  return {
    method: "GET",
    target: "/",
    majorVersion: 1,
    minorVersion: 1,
    headers: ["host", "a.test"],
    peerAddress: "127.0.0.1",
    localPort: 8080,
    encrypted: false,
    facts: null,
    ...parts,
  };
}
