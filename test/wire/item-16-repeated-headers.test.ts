import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { answering, okText, OK_ANSWER, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, proxyTo(upstream.url));

const COOKIES = [
  "a=1; Path=/; HttpOnly",
  "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
  "a=3; Path=/x",
  'c="q,r"; Domain=other.test; SameSite=Lax',
];

test("Set-Cookie lines stay apart, whole and in order", async (t) => {
  upstream.onRequest = answering(
    okText(
      "hello",
      COOKIES.map((cookie) => `Set-Cookie: ${cookie}`),
    ),
  );
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  assert.deepEqual(allHeaders(answer, "set-cookie"), COOKIES);
});

const REPEATED = ["X-L: 1", "X-M: z", "X-L: 2, 3", "x-l: 4", "X-N: y"];
const FLAT = ["X-L", "1", "X-M", "z", "X-L", "2, 3", "x-l", "4", "X-N", "y"];

test("repeated fields of an answer keep their order and the case of their names", async (t) => {
  upstream.onRequest = answering(okText("hello", REPEATED));
  const { rawHeaders } = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  const start = rawHeaders.indexOf("X-L");
  assert.deepEqual(rawHeaders.slice(start, start + FLAT.length), FLAT);
});

test("repeated fields of a request keep their order and the case of their names", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(OK_ANSWER);
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", REPEATED));
  const { rawHeaders } = await upstream.request();
  const start = rawHeaders.indexOf("X-L");
  assert.deepEqual(rawHeaders.slice(start, start + FLAT.length), FLAT);
});

test("several Cookie lines lose no cookie", async (t) => {
  upstream.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["Cookie: a=1", "Cookie: b=2; c=3"]));
  assert.equal(allHeaders(await upstream.request(), "cookie").join("; "), "a=1; b=2; c=3");
});

test("bytes 0x80 to 0xFF in values pass unchanged in both directions", async (t) => {
  upstream.forget();
  upstream.onRequest = answering(okText("hello", ["X-Name: caf\xe9 \xe2\x82\xac"]));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["X-Sent: \xfcber \xff"]));
  assert.equal(header(answer, "x-name"), "caf\xe9 \xe2\x82\xac");
  assert.equal(header(await upstream.request(), "x-sent"), "\xfcber \xff");
});

test("empty values and names of every token character pass in both directions", async (t) => {
  upstream.forget();
  const odd = "!#$%&'*+-.^_`|~09az";
  upstream.onRequest = answering(okText("hello", ["X-Empty:", `${odd}: v`]));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["X-Empty:", `${odd}: v`]));
  assert.equal(header(answer, "x-empty"), "");
  assert.equal(header(answer, odd), "v");
  const seen = await upstream.request();
  assert.equal(header(seen, "x-empty"), "");
  assert.equal(header(seen, odd), "v");
});

test("content coding and body bytes are not touched", async (t) => {
  const body = Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0xff]).toString("latin1");
  upstream.onRequest = answering(okText(body, ["Content-Encoding: gzip", "Vary: Accept-Encoding", 'ETag: W/"x"']));
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/", ["Accept-Encoding: br, gzip"]));
  assert.equal(answer.text, body);
  assert.equal(header(answer, "content-encoding"), "gzip");
  assert.equal(header(answer, "etag"), 'W/"x"');
});
