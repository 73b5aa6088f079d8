import assert from "node:assert/strict";
import test from "node:test";
import { header } from "../support/message-reader.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const v1 = await startRawUpstream(fileScope);
const v2 = await startRawUpstream(fileScope);
const overrides = [{ header: { "x-crossfade-force": "v2" }, to: "candidate" }];
const sidecar = await useSidecar(fileScope, {
  upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
  routes: [
    {
      name: "forced",
      match: { pathPrefix: "/forced" },
      split: { baseline: "v1", candidate: "v2", share: "0%", overrides },
    },
    { name: "plain", match: { pathPrefix: "/" }, split: { baseline: "v1" } },
  ],
});

const CONTROL_NAMES = [
  "x-crossfade-shadow",
  "X-Crossfade-Upstream",
  "X-CROSSFADE-FORCE",
  "x-crossfade-error",
  "x_crossfade_force",
  "X_Crossfade-Force",
  "x-crossfade_force",
  "x-crossfade-anything",
];

for (const name of CONTROL_NAMES) {
  test(`${name} from a client does not reach the upstream`, async (t) => {
    v1.forget();
    const fields = [`${name}: v2`, "X-Kept: yes"];
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", "/", fields))).status, 200);
    const seen = await v1.request();
    assert.equal(header(seen, "x-kept"), "yes");
    assert.doesNotMatch(v1.text(), /x[-_]crossfade/i);
  });
}

test("a header that an override rule names steers the request and goes on", async (t) => {
  v2.forget();
  const fields = ["X-Crossfade-Force: v2", "X-Crossfade-Other: 1"];
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/forced", fields));
  assert.equal(header(answer, "x-crossfade-upstream"), "v2");
  const seen = await v2.request();
  assert.equal(header(seen, "x-crossfade-force"), "v2");
  assert.equal(header(seen, "x-crossfade-other"), null);
});

test("a look-alike with underscores does not steer", async (t) => {
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/forced", ["x_crossfade_force: v2"]));
  assert.equal(header(answer, "x-crossfade-upstream"), "v1");
});

test("an upstream cannot say for itself who served", async (t) => {
  v1.onRequest = ({ connection }) =>
    connection.answer("HTTP/1.1 200 OK\r\nX-Crossfade-Upstream: v9\r\nContent-Length: 0\r\n\r\n", "keep");
  const answer = await exchangeOnce(t, sidecar.port, requestText("GET", "/"));
  assert.equal(header(answer, "x-crossfade-upstream"), "v1");
});
