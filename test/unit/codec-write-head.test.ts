import assert from "node:assert/strict";
import { test } from "node:test";
import { answerHeadText, requestHeadText } from "../../src/codec/write-head.ts";
import { localAnswer } from "../../src/model/answer.ts";
import type { BodyFraming, OutgoingHead } from "../../src/model/exchange-types.ts";

function outgoing(body: BodyFraming, expectsContinue = false): OutgoingHead {
  const fields = "host: a.test\r\nX-A: 1\r\nx-a: \r\n";
  return { method: "PUT", target: "/a?b", fields, body, expectsContinue, hasTrailers: false, bodyFollowsLater: false };
}

test("a request head without a body has its own fields only", () => {
  assert.equal(
    requestHeadText(outgoing({ kind: "none" })),
    "PUT /a?b HTTP/1.1\r\nhost: a.test\r\nX-A: 1\r\nx-a: \r\n\r\n",
  );
});

test("a body is announced by its length, zero too, or as chunked", () => {
  const length = (bytes: number): string => requestHeadText(outgoing({ kind: "length", length: bytes }));
  assert.match(length(5), /\r\ncontent-length: 5\r\n\r\n$/);
  assert.match(length(0), /\r\ncontent-length: 0\r\n\r\n$/);
  assert.match(length(999_999_999_999_999), /\r\ncontent-length: 999999999999999\r\n\r\n$/);
  assert.match(requestHeadText(outgoing({ kind: "chunked" })), /\r\ntransfer-encoding: chunked\r\n\r\n$/);
});

test("a client's wait for a 100 is passed on", () => {
  assert.match(
    requestHeadText(outgoing({ kind: "chunked" }, true)),
    /\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n$/,
  );
});

test("an answer head has its fields, then the extra ones", () => {
  const headers = ["Date", "d", "Set-Cookie", "a=1", "Set-Cookie", "b=2"];
  assert.equal(
    answerHeadText(localAnswer(200, "Very OK", headers), "content-length: 0\r\n"),
    "HTTP/1.1 200 Very OK\r\nDate: d\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\ncontent-length: 0\r\n\r\n",
  );
  assert.equal(answerHeadText(localAnswer(999, "", []), ""), "HTTP/1.1 999 \r\n\r\n");
});
