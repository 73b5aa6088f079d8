import assert from "node:assert/strict";
import test from "node:test";
import { proxyTo } from "../support/configs.ts";
import { expanded, readRequestCases, type RequestCase } from "../support/corpus.ts";
import { ENGINES } from "../support/engines.ts";
import { connectRaw, type RawClient } from "../support/raw-client.ts";
import { startRawUpstream, type RawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until, untilQuiet } from "../support/until.ts";

/** How long nothing must happen before a case counts as said and done. */
const QUIET_MS = 25;
/** How long an incomplete message is watched for not being answered. */
const PROBE_WINDOW_MS = 150;

for (const engine of ENGINES) {
  const upstream = await startRawUpstream(fileScope);
  const sidecar = await useSidecar(fileScope, proxyTo(upstream.url, { engine }));
  for (const one of readRequestCases()) {
    test(`${one.name} (${engine})`, async (t) => {
      upstream.forget();
      const client = await connectRaw(t, sidecar.port);
      const raw = expanded(one.raw);
      if (raw !== "") client.request(raw);
      if (one.note?.includes("half-close") === true) client.halfClose();
      await settle(client, upstream, one);

      checkClient(client, one);
      checkUpstream(upstream, one);
      if (one.mustClose === true) await client.closed();
    });
  }
}

async function settle(client: RawClient, upstream: RawUpstream, one: RequestCase): Promise<void> {
  const said = (): number => client.bytes().length + upstream.text().length + upstream.requests.length;
  if (one.waitOk === true) return untilQuiet(said, PROBE_WINDOW_MS);
  await until(() => client.finalCount() > 0 || client.state !== "open", "an answer or the end of the connection", {
    detail: () => `client: ${JSON.stringify(client.text())}\nupstream: ${JSON.stringify(upstream.text())}`,
  });
  await untilQuiet(said, QUIET_MS);
}

function checkClient(client: RawClient, one: RequestCase): void {
  const seen = `client: ${JSON.stringify(client.text())} (${client.state})`;
  assert.equal(client.reader.malformed, null, seen);
  assert.equal(client.reader.rest.length, 0, `bytes after the last answer; ${seen}`);
  const finals = client.reader.messages.filter((message) => !message.startLine.startsWith("HTTP/1.1 1"));
  assert.ok(finals.length <= one.maxResponses, `${finals.length} answers; ${seen}`);
  const [first] = finals;
  if (first === undefined) {
    const silenceOk = one.waitOk === true || (one.silentCloseOk === true && client.state !== "open");
    assert.ok(silenceOk, `no answer; ${seen}`);
    return;
  }
  const status = Number(first.startLine.slice(9, 12));
  assert.ok(one.status.includes(status), `status ${status}, allowed ${one.status.join()}; ${seen}`);
}

function checkUpstream(upstream: RawUpstream, one: RequestCase): void {
  const bytes = upstream.text();
  const seen = `upstream: ${JSON.stringify(bytes.slice(0, 4_000))}`;
  for (const { reader } of upstream.connections) assert.equal(reader.malformed, null, seen);
  assert.ok(upstream.requests.length <= one.maxUpstream, `${upstream.requests.length} requests; ${seen}`);
  for (const pattern of one.upstreamAbsent ?? []) assert.doesNotMatch(bytes, new RegExp(pattern, "i"), seen);
  if (upstream.requests.length === 0) return;
  for (const pattern of one.upstreamPresent ?? []) assert.match(bytes, new RegExp(pattern, "i"), seen);
}
