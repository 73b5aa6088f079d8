import fc from "fast-check";
import type { AnswerScript, ClientScript } from "./differential.ts";
import { chunkedBody, fieldValue, mutated, target, token } from "./wire-arbitraries.ts";

/** A message's bytes with what a reader must know beforehand. */
interface Text {
  readonly method: string;
  readonly bytes: string;
}

const NAME_OF_TRACE = "0af7651916cd43dd8448eb211c80319c";
const EVERY_BYTE = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));

/** Fields that a proxy reads, changes or drops, and some that it must not touch. */
const REQUEST_LINES = [
  "Accept: */*",
  "accept:text/html;q=0.5 , */*",
  "Cookie: a=1; b=2",
  "cookie: c=3",
  "User-Agent: x (y; z)",
  "Authorization: Basic eDp5",
  "Connection: keep-alive",
  "connection: Close",
  "Connection: x-hop, keep-alive",
  "X-Hop: secret",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "TE: trailers",
  "TE: gzip;q=0.5, trailers",
  "Trailer: X-Sum",
  "Upgrade: foo/2",
  "Connection: upgrade",
  "HTTP2-Settings: AAMAAABkAAQAAP__",
  "X-Forwarded-For: 10.0.0.1",
  "x-forwarded-for:",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: b.test",
  "X-Forwarded-Port: 1",
  "Forwarded: for=10.0.0.1",
  "Via: 1.0 before",
  "via: 1.1 crossfade",
  "X-Request-Id: mine",
  "X-Request-ID: \xff",
  `traceparent: 00-${NAME_OF_TRACE}-b7ad6b7169203331-01`,
  "traceparent: nonsense",
  "tracestate: a=b",
  "X-Crossfade-Force: v2",
  "X_Crossfade_Force: v2",
  "Max-Forwards: 0",
  "Max-Forwards: 7",
  "Expect: 100-continue",
  "expect: nothing-we-know",
  "Range: bytes=0-1",
  'If-None-Match: "x"',
  'Content-Type: a/b; c="d e"',
  "Content-Encoding: gzip",
  "X-Empty:",
  "X-Blank: \t ",
  "X-Tab: a\tb",
  "X-Obs: caf\xe9 \x80\xff",
  "!#$%&'*+-.^_`|~09az: v",
] as const;

const requestLine = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...REQUEST_LINES) },
  { weight: 1, arbitrary: fc.tuple(token, fieldValue).map(([name, value]) => `X${name}:${value} `) },
);
const method = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") },
  { weight: 1, arbitrary: fc.constantFrom("PURGE", "M-SEARCH", "PROPFIND", "TRACE", "BREW", "get") },
);
const anyTarget = fc.oneof(
  { weight: 8, arbitrary: target },
  {
    weight: 1,
    arbitrary: fc.constantFrom("*", "http://a.test/x?y", "http://b.test", "//", "/#f", "/\xe9", "/a b", ""),
  },
);
const version = fc.oneof(
  { weight: 9, arbitrary: fc.constant("1.1") },
  { weight: 1, arbitrary: fc.constantFrom("1.0", "1.2") },
);
const hostLine = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom("Host: a.test", "host:A.test:8080", "HOST: [::1]:80 ") },
  { weight: 1, arbitrary: fc.constantFrom("", "Host:", "Host: a.test\r\nHost: a.test", "Host: a, b") },
);

/** Bodies that look like messages of their own, and every byte. */
const plainBody = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(text).toString("latin1")),
  fc.constantFrom(EVERY_BYTE, "0\r\n\r\n", "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(70_000)),
);
const body = fc.oneof(
  fc.constant({ lines: [] as string[], bytes: "" }),
  plainBody.map((bytes) => ({ lines: [`Content-Length: ${bytes.length}`], bytes })),
  chunkedBody.map(({ wire }) => ({ lines: ["Transfer-Encoding: chunked"], bytes: wire })),
);

/** One request, nearly always a valid one. To HEAD, only valid ones: a refusal would have a body that nobody can foresee. */
const requestBytes: fc.Arbitrary<Text> = method.chain((method) =>
  fc
    .record({
      target: method === "HEAD" ? target : anyTarget,
      version: method === "HEAD" ? fc.constant("1.1") : version,
      host: hostLine,
      lines: fc.array(requestLine, { maxLength: 6 }),
      body,
      framingFirst: fc.boolean(),
    })
    .map(({ target, version, host, lines, body, framingFirst }) => {
      // Whether an answer that needs no body ends its connection depends on whether the body is there already.
      const kept = body.bytes === "" ? lines : lines.filter((line) => line !== "Max-Forwards: 0");
      const fields = framingFirst ? [...body.lines, host, ...kept] : [host, ...kept, ...body.lines];
      const head = [`${method} ${target} HTTP/${version}`, ...fields.filter((line) => line !== "")];
      return { method, bytes: `${head.join("\r\n")}\r\n\r\n${body.bytes}` };
    }),
);

/** Where to cut bytes, as shares of their length in thousandths. */
const cuts = fc.array(fc.nat(1_000), { maxLength: 3 });

/** One to four requests, each answered or refused, in pieces. */
export const requests: fc.Arbitrary<ClientScript> = fc
  .tuple(fc.array(requestBytes, { minLength: 1, maxLength: 4 }), cuts)
  .map(([texts, cuts]) => ({
    pieces: piecesOf(texts.map(({ bytes }) => bytes).join(""), cuts),
    methods: texts.map(({ method }) => method),
    sure: false,
  }));

/** A request in which some bytes are wrong, in pieces. No HEAD: nobody could say whether it still is one. */
export const brokenRequests: fc.Arbitrary<ClientScript> = fc
  .tuple(mutated(requestBytes.filter((text) => text.method !== "HEAD").map(({ bytes }) => bytes)), cuts)
  .map(([bytes, cuts]) => ({ pieces: piecesOf(bytes, cuts), methods: ["GET"], sure: false }));

const ANSWER_LINES = [
  "Date: Fri, 20 Nov 2026 00:00:00 GMT",
  "Set-Cookie: a=1; Path=/",
  "set-cookie: b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
  "Connection: X-Hop",
  "X-Hop: secret",
  "Connection: keep-alive",
  "Connection: close",
  "Keep-Alive: timeout=99",
  "Proxy-Connection: keep-alive",
  "Upgrade: h2c",
  "Trailer: X-Sum",
  "Via: 1.1 behind",
  "X-Request-Id: theirs",
  "X-Crossfade-Upstream: theirs",
  'ETag: "x"',
  "Cache-Control: public, max-age=1",
  "Content-Type: text/plain",
  "Content-Encoding: gzip",
  'Alt-Svc: h3=":443"',
  "X-Empty:",
  "X-Obs: caf\xe9",
] as const;
const answerLine = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ANSWER_LINES) },
  { weight: 1, arbitrary: fc.tuple(token, fieldValue).map(([name, value]) => `X${name}: ${value}\t`) },
);
// No 100: undici takes one that nobody asked for only if it comes alone and whole.
const interim = fc.constantFrom(
  "HTTP/1.1 102 Processing\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Hop: 1\r\nConnection: x-hop\r\n\r\n",
);
const status = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(200, 201, 204, 205, 206, 301, 304, 404, 418, 500, 502, 503) },
  { weight: 1, arbitrary: fc.integer({ min: 200, max: 999 }) },
);
const reason = fc.constantFrom(" OK", " ", "", " d\xe9j\xe0 vu", " Not  Found\t!");
const answerBody = fc.oneof(
  plainBody.map((bytes) => ({ lines: [`Content-Length: ${bytes.length}`], bytes, ends: false })),
  chunkedBody.map(({ wire }) => ({ lines: ["transfer-encoding: Chunked"], bytes: wire, ends: false })),
  plainBody.map((bytes) => ({ lines: [] as string[], bytes, ends: true })),
);

interface WholeAnswer {
  readonly bytes: string;
  /** Only the end of the connection ends it. */
  readonly ends: boolean;
}

const answerBytes: fc.Arbitrary<WholeAnswer> = fc
  .record({
    interim: fc.array(interim, { maxLength: 2 }),
    version: fc.oneof({ weight: 9, arbitrary: fc.constant("1.1") }, { weight: 1, arbitrary: fc.constant("1.0") }),
    status,
    reason,
    lines: fc.array(answerLine, { maxLength: 6 }),
    body: answerBody,
    extra: fc.oneof({ weight: 9, arbitrary: fc.constant("") }, { weight: 1, arbitrary: fc.constantFrom("x", "\r\n") }),
  })
  // A coding that HTTP/1.0 does not have is refused by one engine and believed by the other (RFC 9112 §6.1 allows both).
  .filter(({ version, body }) => version === "1.1" || !body.lines.some((line) => line.startsWith("transfer")))
  .map(({ interim, version, status, reason, lines, body, extra }) => {
    const head = [`HTTP/${version} ${status}${reason}`, ...lines, ...body.lines].join("\r\n");
    const bytes = `${interim.join("")}${head}\r\n\r\n${body.bytes}`;
    return { bytes: body.ends ? bytes : bytes + extra, ends: body.ends };
  });

/** An exchange: a request that is fine and an answer that nearly always is, in pieces. */
export const answers: fc.Arbitrary<readonly [ClientScript, AnswerScript]> = fc
  .tuple(plainRequest(), answerBytes, fc.constantFrom("keep" as const, "close" as const), cuts)
  .map(([client, { bytes, ends }, ending, cuts]) => [
    client,
    { pieces: piecesOf(bytes, cuts), ending: ends ? "close" : ending },
  ]);

/** An exchange whose answer ends too early, by FIN or RST. */
export const cutAnswers: fc.Arbitrary<readonly [ClientScript, AnswerScript]> = fc
  .tuple(plainRequest(), answerBytes, fc.constantFrom("close" as const, "reset" as const), fc.nat(999), cuts)
  .map(([client, { bytes }, ending, share, cuts]) => [
    client,
    { pieces: piecesOf(bytes.slice(0, Math.floor((bytes.length * share) / 1_000)), cuts), ending },
  ]);

/** An exchange with an answer in which some bytes are wrong. After a 1xx of HTTP/1.0, undici believes nothing. */
export const brokenAnswers: fc.Arbitrary<readonly [ClientScript, AnswerScript]> = fc
  .tuple(plainRequest(), mutated(answerBytes.map(({ bytes }) => bytes)), cuts)
  .filter(([, bytes]) => !/HTTP\/1\.0 1/.test(bytes))
  .map(([client, bytes, cuts]) => [client, { pieces: piecesOf(bytes, cuts), ending: "close", broken: true }]);

function plainRequest(): fc.Arbitrary<ClientScript> {
  return fc
    .record({
      method: fc.constantFrom("GET", "GET", "HEAD", "POST"),
      version: fc.constantFrom("1.1", "1.1", "1.1", "1.0"),
      trailers: fc.boolean(),
    })
    .map(({ method, version, trailers }) => {
      const fields = ["Host: a.test", ...(trailers ? ["TE: trailers"] : [])];
      const body = method === "POST" ? "\r\nContent-Length: 5\r\n\r\nhello" : "\r\n\r\n";
      return {
        pieces: [`${method} /case HTTP/${version}\r\n${fields.join("\r\n")}${body}`],
        methods: [method],
        sure: true,
      };
    });
}

/** The bytes in pieces; empty ones left out, one at least. */
function piecesOf(bytes: string, cuts: readonly number[]): readonly string[] {
  const places = [
    0,
    ...cuts.map((cut) => Math.floor((bytes.length * cut) / 1_000)).sort((a, b) => a - b),
    bytes.length,
  ];
  const pieces = places.slice(1).map((place, i) => bytes.slice(places[i], place));
  const full = pieces.filter((piece) => piece !== "");
  return full.length === 0 ? [""] : full;
}
