import assert from "node:assert/strict";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { allHeaders, header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream, type SeenRequest } from "../support/raw-upstream.ts";
import type { Scope } from "../support/scope.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const upstream = await startRawUpstream(fileScope);
const sidecar = await useSidecar(fileScope, routesTo({ "/served": upstream.url }));

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const VALID = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

async function seenWith(t: Scope, fields: readonly string[]): Promise<SeenRequest> {
  upstream.forget();
  assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/served", fields))).status, 200);
  return upstream.request();
}

for (const flags of ["00", "01"]) {
  test(`a valid traceparent with flags ${flags} is continued: same trace, same flags`, async (t) => {
    const fields = [`traceparent: 00-${TRACE}-${SPAN}-${flags}`, "tracestate: vendor=1"];
    const seen = await seenWith(t, fields);
    const traceparent = header(seen, "traceparent") ?? "";
    assert.match(traceparent, VALID);
    assert.equal(traceparent.slice(3, 35), TRACE);
    assert.equal(traceparent.slice(-2), flags);
    assert.deepEqual(allHeaders(seen, "tracestate"), ["vendor=1"]);
  });
}

const REPLACED: readonly (readonly [string, readonly string[]])[] = [
  ["no traceparent", []],
  ["upper case", [`traceparent: 00-${TRACE.toUpperCase()}-${SPAN}-01`]],
  ["an all-zero trace", [`traceparent: 00-${"0".repeat(32)}-${SPAN}-01`]],
  ["an all-zero span", [`traceparent: 00-${TRACE}-${"0".repeat(16)}-01`]],
  ["version ff", [`traceparent: ff-${TRACE}-${SPAN}-01`]],
  ["a short trace", [`traceparent: 00-${TRACE.slice(1)}-${SPAN}-01`]],
  ["more than version 00 has", [`traceparent: 00-${TRACE}-${SPAN}-01-extra`]],
  ["something else", ["traceparent: hello"]],
  ["two traceparents", [`traceparent: 00-${TRACE}-${SPAN}-01`, `traceparent: 00-${TRACE}-${SPAN}-00`]],
];

for (const [what, fields] of REPLACED) {
  test(`${what}: a new trace is begun`, async (t) => {
    const seen = await seenWith(t, fields);
    assert.equal(allHeaders(seen, "traceparent").length, 1);
    const traceparent = header(seen, "traceparent") ?? "";
    assert.match(traceparent, VALID);
    assert.notEqual(traceparent.slice(3, 35), TRACE);
  });
}

test("tracestate of a broken traceparent is dropped with it (W3C Trace Context §4.3)", async (t) => {
  const seen = await seenWith(t, ["traceparent: hello", "tracestate: vendor=1"]);
  assert.equal(header(seen, "tracestate"), null);
});

test("a local reply names the client's trace", async (t) => {
  const fields = [`traceparent: 00-${TRACE}-${SPAN}-01`];
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/nowhere", fields));
  assert.equal(assertLocalReply(answer, 404).traceId, TRACE);
});

test("every request without one gets a trace of its own", async (t) => {
  const one = header(await seenWith(t, []), "traceparent");
  const two = header(await seenWith(t, []), "traceparent");
  assert.notEqual(one?.slice(3, 35), two?.slice(3, 35));
});
