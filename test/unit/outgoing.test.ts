import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestHead } from "../../src/model/exchange-types.ts";
import { fieldsFromText } from "../../src/model/field-lines.ts";
import { joinedHeader } from "../../src/model/headers.ts";
import { hasPassedHere, outgoingFields, type ForwardedFacts } from "../../src/model/outgoing.ts";
import { readFacts } from "../../src/model/request-facts.ts";
import { headOf } from "../support/heads.ts";

function outgoing(
  headers: readonly string[],
  add: Partial<ForwardedFacts> = {},
  parts: Partial<RequestHead> = {},
): string[] {
  const head = headOf({ headers: ["host", "a.test", ...headers], peerAddress: "10.0.0.9", ...parts });
  const facts = readFacts(head);
  assert.ok(typeof facts !== "string");
  const fields = outgoingFields(head, facts, {
    peerTrusted: false,
    requestId: "id-1",
    traceparent: "tp",
    traceBegun: false,
    viaName: "crossfade",
    controlHeaders: new Set(),
    ...add,
  });
  return fieldsFromText(fields);
}

test("fields that end at this hop are not passed on, nor is what Connection names", () => {
  const out = outgoing([
    "Connection",
    "x-secret, keep-alive",
    "X-Secret",
    "1",
    "Keep-Alive",
    "timeout=5",
    "Proxy-Connection",
    "x",
    "TE",
    "gzip",
    "Trailer",
    "x",
    "Upgrade",
    "h2c",
    "HTTP2-Settings",
    "AAAA",
    "Proxy-Authorization",
    "Basic x",
    "Expect",
    "100-continue",
    "X-Kept",
    "1",
  ]);
  const names = out.filter((_, i) => i % 2 === 0);
  assert.deepEqual(names, [
    "host",
    "X-Kept",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "via",
    "x-request-id",
    "traceparent",
  ]);
});

test("a client's Connection cannot remove what we add", () => {
  const out = outgoing(["Connection", "x-forwarded-for, x-request-id, via, host, close"]);
  assert.equal(joinedHeader(out, "x-forwarded-for"), "10.0.0.9");
  assert.equal(joinedHeader(out, "x-request-id"), "id-1");
  assert.equal(joinedHeader(out, "host"), "a.test");
});

test("te: trailers reaches the upstream, other codings do not", () => {
  assert.equal(joinedHeader(outgoing(["TE", "trailers, gzip"]), "te"), "trailers");
});

test("forwarded fields of a stranger are overwritten, those of a trusted proxy extended", () => {
  const claimed = [
    "X-Forwarded-For",
    "1.2.3.4",
    "X-Forwarded-Proto",
    "https",
    "X-Forwarded-Host",
    "h",
    "X-Forwarded-Port",
    "443",
  ];
  const stranger = outgoing(claimed);
  assert.equal(joinedHeader(stranger, "x-forwarded-for"), "10.0.0.9");
  assert.equal(joinedHeader(stranger, "x-forwarded-proto"), "http");
  assert.equal(joinedHeader(stranger, "x-forwarded-host"), "a.test");
  assert.equal(joinedHeader(stranger, "x-forwarded-port"), "8080");
  const trusted = outgoing(claimed, { peerTrusted: true });
  assert.equal(joinedHeader(trusted, "x-forwarded-for"), "1.2.3.4, 10.0.0.9");
  assert.equal(joinedHeader(trusted, "x-forwarded-proto"), "https");
  assert.equal(joinedHeader(trusted, "x-forwarded-host"), "h");
  assert.equal(joinedHeader(trusted, "x-forwarded-port"), "443");
});

test("control fields are removed in every spelling, unless a rule reads them", () => {
  const claimed = ["x-crossfade-force", "v2", "X_Crossfade_Shadow", "1", "X-Crossfade_Error", "x", "x-other", "1"];
  assert.equal(
    outgoing(claimed)
      .filter((_, i) => i % 2 === 0)
      .some((name) => /crossfade/i.test(name)),
    false,
  );
  const kept = outgoing(claimed, { controlHeaders: new Set(["x-crossfade-force"]) });
  assert.equal(joinedHeader(kept, "x-crossfade-force"), "v2");
});

test("Via is one list that ends with us, and shows a loop", () => {
  assert.equal(joinedHeader(outgoing(["Via", "1.0 fred"]), "via"), "1.0 fred, 1.1 crossfade");
  assert.equal(joinedHeader(outgoing([], {}, { minorVersion: 0 }), "via"), "1.0 crossfade");
  assert.equal(hasPassedHere("1.0 fred, 1.1 crossfade (x)", "crossfade"), true);
  assert.equal(hasPassedHere("1.1 crossfader", "crossfade"), false);
  assert.equal(hasPassedHere("1.1 crossfade", "edge"), false);
});

test("repeats and their order are kept", () => {
  const out = outgoing(["X-A", "1", "x-b", "2", "X-A", "3"]);
  assert.deepEqual(out.slice(2, 8), ["X-A", "1", "x-b", "2", "X-A", "3"]);
});

test("a tracestate goes on with its trace only, Forwarded from a trusted peer only", () => {
  const headers = ["Tracestate", "a=1", "Forwarded", "for=1.2.3.4"];
  assert.deepEqual(outgoing(headers).slice(2, 4), ["Tracestate", "a=1"]);
  assert.equal(joinedHeader(outgoing(headers), "forwarded"), null);
  const trusted = outgoing(headers, { peerTrusted: true, traceBegun: true });
  assert.deepEqual(trusted.slice(2, 4), ["Forwarded", "for=1.2.3.4"]);
  assert.equal(joinedHeader(trusted, "tracestate"), null);
});

test("an OPTIONS request that is limited has one hop less left, another request is left alone", () => {
  const limited = ["Max-Forwards", "5"];
  assert.equal(joinedHeader(outgoing(limited, {}, { method: "OPTIONS" }), "max-forwards"), "4");
  assert.equal(joinedHeader(outgoing(limited), "max-forwards"), "5");
  assert.equal(joinedHeader(outgoing(["Max-Forwards", "x"], {}, { method: "OPTIONS" }), "max-forwards"), "x");
});

test("a field is known by its name in any case, and by its whole name", () => {
  const near = ["Hosts", "1", "Viä", "2", "X-Forwarded-Fox", "3", "Kontinuum", "4", "x", "5", "tE1", "6"];
  assert.deepEqual(outgoing(near).slice(2, 14), near);
  const ours = ["hOsT2", "1", "X-REQUEST-ID", "2", "x-Request-Id", "3", "CONTENT-length", "4", "Alt-SVC", "5"];
  assert.deepEqual(outgoing(ours).slice(2, 5), ["hOsT2", "1", "x-forwarded-for"]);
});
