import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { useSidecar } from "../support/sidecar.ts";
import { spawnUpstream } from "../support/spawn-upstream.ts";
import { findTool, runTool, testWith, useFolder } from "./tools.ts";

const SECONDS = 5;

/** Callers by turns, so that both arms are asked; every tenth request has a body. */
const CALLERS = `
local n = 0
request = function()
  n = n + 1
  wrk.headers["x-user-id"] = "user-" .. (n % 500)
  if n % 10 == 0 then return wrk.format("POST", "/api/save", nil, string.rep("x", 2000)) end
  return wrk.format("GET", "/api/page")
end
`;

testWith(
  [findTool("wrk")],
  "wrk sees no socket error and no answer but 2xx, with keep-alive and a new connection each time",
  60_000,
  async (t, [wrk = ""]) => {
    const [v1, v2] = [await spawnUpstream(t, "v1"), await spawnUpstream(t, "v2")];
    const sidecar = await useSidecar(t, {
      runtime: { threads: 1 },
      upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
      routes: [
        {
          name: "api",
          match: { pathPrefix: "/api/" },
          split: { baseline: "v1", candidate: "v2", share: "50%", sticky: [{ header: "x-user-id" }] },
        },
      ],
    });
    const script = path.join(useFolder(t), "callers.lua");
    fs.writeFileSync(script, CALLERS);
    for (const headers of [[], ["-H", "connection: close"]]) {
      const { code, stdout, stderr } = await runTool(
        wrk,
        ["-t1", "-c32", `-d${SECONDS}s`, "--timeout", "5s", "--latency", "-s", script, ...headers, sidecar.url],
        { deadlineMs: (SECONDS + 10) * 1_000 },
      );
      const summary = /(\d+) requests in ([\d.]+)s/.exec(stdout);
      t.diagnostic(`${headers.length === 0 ? "keep-alive" : headers[1]}: ${summary?.[0] ?? stdout}`);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stdout, /Socket errors|Non-2xx/);
      assert.ok(Number(summary?.[1]) > 100, stdout);
    }
  },
);
