import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { expanded, readAnswerCases, type AnswerCase } from "../support/corpus.ts";
import { ENGINES } from "../support/engines.ts";
import { connectRaw, exchangeOnce, type Answer, type RawClient } from "../support/raw-client.ts";
import { okText, startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

// One connection at most: whatever a case leaves behind on it is what the probe after it would get.
const LIMITS = {
  timeouts: { connect: "1s", responseHead: "400ms", idle: "400ms", request: "3s" },
  pool: { minConnections: 0, maxConnections: 1 },
};
const PROBE_BODY = "the answer to the probe";

for (const engine of ENGINES) {
  const upstream = await startRawUpstream(fileScope);
  const sidecar = await useSidecar(fileScope, proxyTo(upstream.url, { engine, upstreams: { v1: LIMITS } }));
  for (const one of readAnswerCases()) {
    test(`${one.name} (${engine})`, async (t) => {
      upstream.onHead = ({ target, connection }) => {
        if (target === "/probe") connection.answer(okText(PROBE_BODY), "keep");
        else connection.answer(expanded(one.upstreamRaw), one.then);
      };
      upstream.onRequest = null;
      const client = await connectRaw(t, sidecar.port);
      client.request(`${one.method} /case HTTP/${one.clientVersion ?? "1.1"}\r\nHost: a.test\r\n\r\n`);
      check(client, await client.answer(), one);

      const probe = await exchangeOnce(t, sidecar.port, "GET /probe HTTP/1.1\r\nHost: a.test\r\n\r\n");
      assert.equal(probe.status, 200, probe.text);
      assert.equal(probe.text, PROBE_BODY);
    });
  }
}

function check(client: RawClient, answer: Answer, one: AnswerCase): void {
  const seen = `client: ${JSON.stringify(client.text().slice(0, 4_000))} (${client.state})`;
  assert.equal(client.reader.malformed, null, seen);
  assert.equal(client.reader.rest.length, 0, `bytes after the answer; ${seen}`);
  assert.ok(one.status.includes(answer.status), `status ${answer.status}, allowed ${one.status.join()}; ${seen}`);
  for (const pattern of one.clientAbsent ?? []) assert.doesNotMatch(client.text(), new RegExp(pattern, "i"), seen);
  if (answer.status >= 500) {
    assert.ok(answer.complete, `the local reply is whole; ${seen}`);
    return;
  }
  if (one.expected === "abort") {
    assert.equal(answer.complete, false, `a truncated answer looks whole; ${seen}`);
    return;
  }
  assert.ok(answer.complete, `the answer is whole; ${seen}`);
  if (one.body !== undefined) assert.equal(answer.text, one.body, seen);
  for (const pattern of one.clientPresent ?? []) assert.match(client.text(), new RegExp(pattern, "i"), seen);
}
