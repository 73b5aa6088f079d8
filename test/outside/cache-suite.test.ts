import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { proxyTo } from "../support/configs.ts";
import { useSidecar } from "../support/sidecar.ts";
import type { Scope } from "../support/scope.ts";
import { until } from "../support/until.ts";
import { runTool, startTool, useFolder } from "./tools.ts";

/** Passed, or the kind of failure and its message. */
type Verdict = true | readonly [kind: string, message: string];
type Verdicts = Readonly<Record<string, Verdict>>;

const ABORTS =
  "the origin destroys the connection instead of answering: the client alone sees a hang-up, through us a 502 that the checks go on with";
const OVERRUNS =
  "the origin sends more body than its Content-Length says: the client alone chokes on the surplus, through us it gets the answer and the surplus is dropped with its connection";

/** Every test of the suite whose result differs, and why it must. */
const EXPLAINED: Readonly<Record<string, string>> = {
  "headers-store-Transfer-Encoding":
    "the origin names a transfer coding that is none: the client alone guesses where the answer ends, we refuse with 502",
  "304-etag-update-response-Content-Length": OVERRUNS,
  "headers-store-Content-Length": OVERRUNS,
  "stale-close": ABORTS,
  "stale-close-must-revalidate": ABORTS,
  "stale-close-no-cache": ABORTS,
  "stale-close-proxy-revalidate": ABORTS,
  "stale-close-s-maxage=2": ABORTS,
  "stale-sie-503": ABORTS,
  "stale-sie-close": ABORTS,
  "stale-warning-become": ABORTS,
  "stale-warning-stored": ABORTS,
};

const SUITE = path.dirname(createRequire(import.meta.url).resolve("http-cache-tests/package.json"));

test(
  "http-cache-tests gives the same results through the sidecar, save where its origin aborts or mis-frames",
  { timeout: 90_000 },
  async (t) => {
    const originPort = await startOrigin(t);
    const sidecar = await useSidecar(t, proxyTo(`http://127.0.0.1:${originPort}`));
    const [direct, through] = await Promise.all([
      runSuite(`http://127.0.0.1:${originPort}`),
      runSuite(`http://127.0.0.1:${sidecar.port}`),
    ]);
    const different = Object.keys(direct).filter((id) => comparable(direct[id]) !== comparable(through[id]));
    t.diagnostic(`direct: ${summary(direct)}; through the sidecar: ${summary(through)}`);
    t.diagnostic(`${Object.keys(direct).length - different.length} results are the same, ${different.length} differ`);
    for (const id of different) {
      t.diagnostic(
        `${id}: direct ${comparable(direct[id])}, through ${comparable(through[id])}: ${EXPLAINED[id] ?? "UNEXPLAINED"}`,
      );
    }
    assert.equal(Object.keys(direct).length, 350);
    assert.deepEqual(Object.keys(through), Object.keys(direct));
    assert.deepEqual(different.toSorted(), Object.keys(EXPLAINED).toSorted());
  },
);

async function startOrigin(scope: Scope): Promise<number> {
  const pidFile = path.join(useFolder(scope), "origin.pid");
  const server = startTool(scope, process.execPath, [path.join(SUITE, "server/server.mjs")], {
    npm_config_protocol: "http",
    npm_config_port: "0",
    npm_config_pidfile: pidFile,
  });
  return until(() => /^Listening on .*:(\d+)\/$/m.exec(server.printed())?.[1], "the suite's origin to listen", {
    deadlineMs: 10_000,
  }).then(Number);
}

async function runSuite(base: string): Promise<Verdicts> {
  const { code, stdout, stderr } = await runTool(
    process.execPath,
    ["--no-warnings", path.join(SUITE, "cli.mjs")],
    // It reads its options where npm puts them; an empty id means all tests.
    { deadlineMs: 75_000, env: { npm_config_base: base, npm_config_id: "", npm_package_config_id: "" } },
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Verdicts;
}

/** A verdict without what is new in every run: test tokens and ports. */
function comparable(verdict: Verdict | undefined): string {
  return JSON.stringify(verdict ?? "missing")
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "TOKEN")
    .replaceAll(/127\.0\.0\.1:\d+/g, "HOST");
}

function summary(verdicts: Verdicts): string {
  const all = Object.values(verdicts);
  return `${all.filter((verdict) => verdict === true).length} of ${all.length} passed`;
}
