import test from "node:test";
import { expanded, readRequestCases } from "../support/corpus.ts";
import { startPair } from "../support/differential.ts";
import { assertCutsSame } from "../support/differential-cuts.ts";
import { assertNodeAgrees } from "../support/node-reader.ts";
import { fileScope } from "../support/scope.ts";

/** Longer ones are more of the same, and take a connection per byte. */
const MAX_BYTES = 300;
// All cuts of one request are sent at once: enough of them to share the upstream's connections.
const pair = await startPair(fileScope, { upstreams: { root: { pool: { minConnections: 0 } } } }, 8);

/** Heads with all that a proxy reads in one, on top of the corpus. */
const RICH = [
  "GET /a?b=c HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\ncookie: b=2\r\nTE: trailers\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n",
  'POST /p HTTP/1.1\r\nX-Obs: caf\xe9\r\nHost:a.test:80 \r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;a="b"\r\nabc\r\n00\r\nX-T: 1\r\n\r\n',
  "PUT /q HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabcDELETE /r HTTP/1.1\r\nHost: a.test\r\n\r\nGET /s HTTP/1.1\r\nHost: a.test\r\n\r\n",
];

for (const request of RICH) {
  test(`${JSON.stringify(request.slice(0, 12))}… is the same wherever it is cut`, async () => {
    await assertCutsSame(pair, { method: "GET", request, answer: null, mayDiffer: false });
  });
}

for (const { name, raw } of readRequestCases()) {
  const request = expanded(raw);
  if (request.length > MAX_BYTES) continue;
  test(`request ${name} is the same wherever it is cut`, async () => {
    const method = request.startsWith("HEAD ") ? "HEAD" : "GET";
    await assertCutsSame(pair, { method, request, answer: null, mayDiffer: false });
  });
}

test("Node's own parser reads what was forwarded as the very same requests", async (t) => {
  await assertNodeAgrees(t, pair.subject.upstream.connections);
});
