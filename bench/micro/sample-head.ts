import type { RequestHead } from "../../src/model/exchange-types.ts";

/** A request head as an API gateway sends it: 14 fields, 700 bytes, a key and a trace. */
export const SAMPLE_HEAD: RequestHead = {
  method: "GET",
  target: "/api/v1/orders/4711?expand=items&page=2",
  majorVersion: 1,
  minorVersion: 1,
  headers: Object.entries({
    Host: "orders.example.org",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    Accept: "application/json, text/plain;q=0.9, */*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    Authorization: `Bearer ${"abcdefghij".repeat(20)}`,
    Cookie: "session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; consent=all",
    "x-user-id": "user-4711",
    "x-request-id": "5f1f6f1e-6c2e-4a0e-9a55-0d6e4c1a2b3c",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
    "Cache-Control": "no-cache",
    Connection: "keep-alive",
  }).flat(),
  peerAddress: "10.0.0.7",
  localPort: 8080,
  encrypted: false,
  facts: null,
};
