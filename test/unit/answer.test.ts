import assert from "node:assert/strict";
import { test } from "node:test";
import {
  outgoingAnswer,
  answerProblem,
  closesConnection,
  interimHeaders,
  isBodyless,
  safeTrailers,
} from "../../src/model/answer.ts";
import { fieldsFromText } from "../../src/model/field-lines.ts";
import { joinedHeader } from "../../src/model/headers.ts";

function answered(headers: readonly string[], parts: { status?: number; mintedCookie?: string | null } = {}): string[] {
  const { status = 200, mintedCookie = null } = parts;
  const add = {
    versionHeader: "x-crossfade-upstream",
    servedBy: "v1",
    requestId: "id-1",
    fallback: null,
    mintedCookie,
  };
  return fieldsFromText(outgoingAnswer({ status, reason: "", headers }, add).fields);
}

test("an answer keeps its own fields in order and gains ours", () => {
  const out = answered(["Set-Cookie", "a=1", "Date", "d", "Set-Cookie", "b=2", "Server", "s"]);
  assert.deepEqual(out, [
    "Set-Cookie",
    "a=1",
    "Date",
    "d",
    "Set-Cookie",
    "b=2",
    "Server",
    "s",
    "x-crossfade-upstream",
    "v1",
    "x-request-id",
    "id-1",
  ]);
});

test("fields of the upstream's hop and its own version header are dropped", () => {
  const out = answered([
    "Connection",
    "x-a, close",
    "X-A",
    "1",
    "Keep-Alive",
    "timeout=5",
    "Transfer-Encoding",
    "chunked",
    "X-Crossfade-Upstream",
    "evil",
    "X-Request-Id",
    "theirs",
    "Upgrade",
    "h2c",
  ]);
  assert.deepEqual(out, ["x-crossfade-upstream", "v1", "x-request-id", "id-1"]);
});

test("204 has no length, 205 has zero, 304 keeps it", () => {
  assert.equal(joinedHeader(answered(["Content-Length", "5"], { status: 204 }), "content-length"), null);
  assert.equal(joinedHeader(answered(["Content-Length", "5"], { status: 205 }), "content-length"), "0");
  assert.equal(joinedHeader(answered(["Content-Length", "5"], { status: 304 }), "content-length"), "5");
});

test("HEAD, 204, 205 and 304 have no body", () => {
  assert.deepEqual(
    [
      isBodyless("HEAD", 200),
      isBodyless("GET", 204),
      isBodyless("GET", 205),
      isBodyless("GET", 304),
      isBodyless("GET", 200),
    ],
    [true, true, true, true, false],
  );
});

test("a cookie of ours makes an answer private, and is held back from answers for shared caches", () => {
  const cookie = "cf=k; Path=/";
  assert.equal(joinedHeader(answered([], { mintedCookie: cookie }), "cache-control"), "private");
  assert.equal(
    joinedHeader(answered(["Cache-Control", "max-age=5"], { mintedCookie: cookie }), "cache-control"),
    "private, max-age=5",
  );
  assert.equal(
    joinedHeader(answered(["Cache-Control", "no-store"], { mintedCookie: cookie }), "cache-control"),
    "no-store",
  );
  for (const shared of ["public", "max-age=5, s-maxage=60"]) {
    const out = answered(["Cache-Control", shared], { mintedCookie: cookie });
    assert.equal(joinedHeader(out, "cache-control"), shared);
    assert.equal(joinedHeader(out, "set-cookie"), null);
  }
});

test("an answer that cannot be passed on is named", () => {
  assert.equal(answerProblem({ status: 200, reason: "", headers: ["A", "b\tc\xff"] }), null);
  assert.match(answerProblem({ status: 99, reason: "", headers: [] }) ?? "", /status 99/);
  assert.match(answerProblem({ status: 200, reason: "", headers: ["A", "b\u0000"] }) ?? "", /control characters in A/);
  assert.match(answerProblem({ status: 200, reason: "", headers: ["A B", "c"] }) ?? "", /not a token/);
});

test("trailers that frame, route or authorise are dropped", () => {
  assert.deepEqual(safeTrailers(["X-Sum", "1", "Content-Length", "5", "Host", "h", "Transfer-Encoding", "chunked"]), [
    "X-Sum",
    "1",
  ]);
  assert.equal(safeTrailers(["Content-Length", "5"]), null);
  assert.equal(safeTrailers(null), null);
});

test("a reason phrase with control characters is left out", () => {
  const add = { versionHeader: "v", servedBy: "v1", requestId: "id-1", fallback: null, mintedCookie: null };
  const reasonOf = (reason: string): string => outgoingAnswer({ status: 200, reason, headers: [] }, add).reason;
  assert.equal(reasonOf("Very OK"), "Very OK");
  assert.equal(reasonOf("a\r\nb"), "");
});

test("connection: close is seen in any case", () => {
  assert.equal(closesConnection({ status: 200, reason: "", headers: ["Connection", "Close"] }), true);
  assert.equal(closesConnection({ status: 200, reason: "", headers: [] }), false);
});

test("of lengths that agree one is passed on", () => {
  assert.deepEqual(answered(["Content-Length", "5", "content-length", "5"]).slice(0, 4), [
    "Content-Length",
    "5",
    "x-crossfade-upstream",
    "v1",
  ]);
});

test("an interim answer keeps all but what ends at this hop, and gains nothing", () => {
  const headers = ["Link", "<1>", "X-Request-Id", "theirs", "Connection", "x-a", "X-A", "1", "Keep-Alive", "timeout=5"];
  assert.deepEqual(interimHeaders({ status: 103, reason: "", headers }), ["Link", "<1>", "X-Request-Id", "theirs"]);
  assert.equal(interimHeaders({ status: 103, reason: "", headers: ["A", "\u0000"] }), null);
});
