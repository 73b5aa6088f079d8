import type { RequestHead, ResponseHead } from "../../src/model/exchange-types.ts";

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

/** A request head as a load generator sends it: Host and a key. */
export const SMALL_HEAD: RequestHead = {
  ...SAMPLE_HEAD,
  target: "/",
  headers: ["Host", "127.0.0.1:8080", "x-user-id", "u1"],
};

/** The head of a small JSON answer: 5 fields. */
export const SMALL_ANSWER: ResponseHead = {
  status: 200,
  reason: "OK",
  headers: Object.entries({
    Server: "nginx/1.22.1",
    Date: "Fri, 20 Nov 2026 00:00:00 GMT",
    "Content-Type": "application/json",
    "Content-Length": "110",
    Connection: "keep-alive",
  }).flat(),
};

/** The head of an answer as an application behind a cache gives it: 12 fields. */
export const SAMPLE_ANSWER: ResponseHead = {
  status: 200,
  reason: "OK",
  headers: Object.entries({
    Server: "nginx/1.22.1",
    Date: "Fri, 20 Nov 2026 00:00:00 GMT",
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": "2048",
    Connection: "keep-alive",
    "Keep-Alive": "timeout=75",
    Vary: "Accept-Encoding, Accept-Language",
    "Cache-Control": "private, max-age=60, must-revalidate",
    ETag: 'W/"5f1f6f1e6c2e4a0e9a550d6e4c1a2b3c"',
    "Set-Cookie": "session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; Path=/; HttpOnly; Secure; SameSite=Lax",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Request-Id": "5f1f6f1e-6c2e-4a0e-9a55-0d6e4c1a2b3c",
  }).flat(),
};
