import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { blockView, ROUTE_WORDS, THREAD_BLOCK, THREAD_WORDS } from "../../src/base/cells.ts";
import { DASHBOARD_HEADERS, DASHBOARD_PAGE } from "../../src/admin/dashboard-page.ts";
import { DASHBOARD_SCRIPT } from "../../src/admin/dashboard-script.ts";
import { openAdminBench, TOKEN } from "../support/admin-bench.ts";
import type { AdminBench } from "../support/admin-bench.ts";
import { configText } from "../support/control-plane.ts";
import { callTimes, circuitOf } from "../support/planned-upstreams.ts";
import { runOnFakePage } from "../support/fake-page.ts";
import type { FakeElement, FakePage } from "../support/fake-page.ts";
import { changed, until } from "../support/until.ts";

interface Opened {
  readonly bench: AdminBench;
  readonly page: FakePage;
  /** The card of a route. */
  card(name: string): FakeElement;
}

/** The page in a tab that asks a real server; `token`: what the tab already has. */
async function openPage(
  t: TestContext,
  options: { readonly token?: string | null; readonly text?: string } = {},
): Promise<Opened> {
  const bench = await openAdminBench(t, options.text === undefined ? {} : { text: options.text });
  const abort = new AbortController();
  t.after(() => abort.abort());
  const fetchIt = async (path: string, init: RequestInit): Promise<Response> => {
    const response = await fetch(`${bench.server.url}${path}`, { ...init, signal: abort.signal });
    setImmediate(changed);
    return response;
  };
  const page = runOnFakePage(DASHBOARD_PAGE, withToken(options.token), fetchIt as typeof fetch);
  const card = (name: string): FakeElement => {
    const cards = page.byId("routes").children;
    return (
      cards.find((element) => element.attributes.get("aria-label") === `Route ${name}`) ??
      assert.fail(`no card ${name}`)
    );
  };
  return { bench, page, card };
}

function withToken(token: string | null = TOKEN): string {
  if (token === null) return DASHBOARD_SCRIPT;
  return `sessionStorage.setItem("crossfade-token", ${JSON.stringify(token)});\n${DASHBOARD_SCRIPT}`;
}

function button(card: FakeElement, text: RegExp): FakeElement {
  return card.find(({ tag, textContent }) => tag === "button" && text.test(textContent)) ?? assert.fail(String(text));
}

async function shown({ page }: Opened, id: string, text: RegExp): Promise<void> {
  await until(() => text.test(page.byId(id).textContent), `#${id} to show ${text}`, {
    detail: () => page.byId(id).textContent,
  });
}

/** Says yes, with a reason. */
async function confirm({ page }: Opened, title: RegExp, reason = "because"): Promise<void> {
  const dialog = page.byId("confirm-dialog");
  await until(() => dialog.isOpen, "the question");
  assert.match(page.byId("confirm-title").textContent, title);
  page.byId("confirm-reason").value = reason;
  dialog.leave("yes");
}

test("the page loads nothing else, and only its own style and script may run", async (t) => {
  const bench = await openAdminBench(t);
  const answer = await bench.ask("GET", "/", { token: null });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "text/html; charset=utf-8");
  const policy = answer.headers["content-security-policy"] ?? "";
  assert.equal(policy, DASHBOARD_HEADERS["content-security-policy"]);
  for (const [tag, directive] of [
    ["style", "style-src"],
    ["script", "script-src"],
  ] as const) {
    const [, text = "", ...more] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(answer.text) ?? [];
    assert.deepEqual(more, []);
    const hash = createHash("sha256").update(text).digest("base64");
    assert.ok(policy.includes(`${directive} 'sha256-${hash}'`), directive);
  }
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(answer.text, /https?:\/\//);
  assert.doesNotMatch(answer.text, /\son\w+=|\sstyle=|innerHTML|<link(?! rel="icon" href="data:,")|<img/);
});

test("the page can be used without seeing it", () => {
  assert.match(DASHBOARD_PAGE, /<html lang="en">/);
  for (const [, id] of DASHBOARD_PAGE.matchAll(/<input id="([\w-]+)"/g)) {
    assert.ok(DASHBOARD_PAGE.includes(`<label for="${id}">`), `a label for ${id}`);
  }
  assert.match(DASHBOARD_PAGE, /aria-live="polite"/);
  assert.match(DASHBOARD_PAGE, /prefers-reduced-motion/);
  assert.match(DASHBOARD_PAGE, /color-scheme: light dark/);
});

test("the page shows what is in force", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1 · start by ann/);
  const { page, card } = opened;
  assert.equal(page.byId("state").textContent, "taking traffic");
  assert.match(card("api").textContent, /v1 → v2/);
  assert.match(card("api").textContent, /v1 90% +v2 10%/);
  assert.match(card("web").textContent, /no candidate/);
  assert.match(page.byId("upstreams").textContent, /v1 .*http:\/\/127\.0\.0\.1:9001 +not checked/);
  const bar = card("api").find(({ attributes }) => attributes.get("role") === "img");
  assert.equal(bar?.attributes.get("aria-label"), "Share of the candidate: 10%");
  assert.equal(bar?.children[0]?.style["width"], "10%");
});

const WITH_CIRCUITS = configText([{ name: "api" }], {
  upstreams: {
    v1: { endpoints: ["http://127.0.0.1:9001"] },
    v2: { endpoints: ["http://127.0.0.1:9002"], circuitBreaker: { openFor: "40s", jitter: "0%" } },
    v3: { endpoints: ["http://127.0.0.1:9003", "http://127.0.0.1:9004"], circuitBreaker: {} },
  },
});

function upstreamPart({ page }: Opened, name: string): FakeElement {
  const parts = page.byId("upstreams").children;
  return parts.find(({ attributes }) => attributes.get("aria-label") === `Upstream ${name}`) ?? assert.fail(name);
}

function tripV2({ bench }: Opened): void {
  const v2 = bench.store.current.upstreams.find(({ name }) => name === "v2") ?? assert.fail();
  callTimes(circuitOf(bench.cells, v2, null), 3, "failure", bench.clock.nowMs());
  bench.watch.look();
}

test("an open circuit is shown with what is left of its time, and closes before the eyes of who looks", async (t) => {
  const opened = await openPage(t, { text: WITH_CIRCUITS });
  await shown(opened, "upstreams", /v2 circuit closed/);
  const { bench, page } = opened;
  tripV2(opened);
  bench.clock.advance(30_000);
  page.tick();
  await shown(opened, "upstreams", /v2 circuit open · tries again in 10s/);
  await shown(opened, "events", /circuit opened: v2/);
  const bar = upstreamPart(opened, "v2").find(({ className }) => className.includes("countdown"));
  assert.deepEqual([bar?.hidden, bar?.children[0]?.style["width"]], [false, "25%"]);
  assert.equal(bar?.attributes.get("aria-label"), "tries again in 10s");
  bench.clock.advance(10_000);
  bench.watch.look();
  page.tick();
  await shown(opened, "upstreams", /v2 circuit half-open · trying/);
  bench.watch.reset("v2");
  page.tick();
  await shown(opened, "upstreams", /v2 circuit closed/);
  assert.equal(bar?.hidden, true);
});

test("a circuit is tripped and reset from the page, after a question and with a reason", async (t) => {
  const opened = await openPage(t, { text: WITH_CIRCUITS });
  await shown(opened, "upstreams", /v2 circuit closed/);
  const { bench } = opened;
  assert.equal(button(upstreamPart(opened, "v1"), /Trip circuit/).hidden, true);
  assert.equal(button(upstreamPart(opened, "v2"), /Reset circuit/).hidden, true);
  button(upstreamPart(opened, "v2"), /Trip circuit/).fire("click");
  await confirm(opened, /Open the circuit of v2\?/, "5xx");
  await shown(opened, "upstreams", /v2 circuit open · tries again in/);
  assert.equal(bench.auditLog.read(1)[0]?.reason, "5xx");
  button(upstreamPart(opened, "v2"), /Reset circuit/).fire("click");
  await confirm(opened, /Close the circuits of v2\?/);
  await shown(opened, "upstreams", /v2 circuit closed/);
});

test("endpoints are shown as checks and ejection have them, in words and not by colour alone", async (t) => {
  const opened = await openPage(t, { text: WITH_CIRCUITS });
  const { bench, page } = opened;
  const counts = { checks: 1, failures: {}, durations: new Float64Array(256) };
  const sinceWallMs = bench.clock.wallMs() - 65_000;
  const healthOf = (upstream: string, port: number, health: "healthy" | "unhealthy" | "unknown") => {
    const reason = health === "unhealthy" ? "status: answered 500" : null;
    return { ...counts, upstream, endpoint: `http://127.0.0.1:${port}`, now: { health, sinceWallMs, reason } };
  };
  bench.reported.health = [
    healthOf("v2", 9002, "healthy"),
    healthOf("v3", 9003, "unknown"),
    healthOf("v3", 9004, "unhealthy"),
  ];
  const now = { ejected: true, backInMs: 12_000 };
  bench.reported.outliers = [{ upstream: "v3", endpoint: "http://127.0.0.1:9003", now, ejections: 1 }];
  page.tick();
  await shown(opened, "upstreams", /:9002 healthy for 1m 5s/);
  await shown(opened, "upstreams", /:9003 ejected, back in 12s · not checked yet for 1m 5s/);
  await shown(opened, "upstreams", /:9004 unhealthy for 1m 5s: status: answered 500/);
  const dots = upstreamPart(opened, "v3")
    .find(({ tag }) => tag === "ul")
    ?.children.map((row) => {
      return row.find(({ className }) => className.startsWith("dot"))?.className;
    });
  assert.deepEqual(dots, ["dot ejected", "dot unhealthy"]);
});

test("overload and what became of requests are shown", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  const { bench, page } = opened;
  const pages = bench.cells.pagesOf(0);
  const words = blockView(pages, bench.store.current.routes[0]?.cells.routeBlock ?? assert.fail());
  words[ROUTE_WORDS.retries] = 3;
  words[ROUTE_WORDS.fallbacks] = 2;
  words[ROUTE_WORDS.shed] = 4;
  blockView(pages, THREAD_BLOCK)[THREAD_WORDS.overloadStage] = 2;
  page.tick();
  await shown(opened, "notes", /Overload, stage 2: low priority routes get 503\./);
  assert.match(opened.card("api").textContent, /in flight · 3 retries · 2 fallbacks · 4 shed/);
});

test("the page asks for the token when it is missing, and again when it is wrong", async (t) => {
  const opened = await openPage(t, { token: null });
  const { page } = opened;
  const dialog = page.byId("token-dialog");
  await until(() => dialog.isOpen, "the question for the token");
  page.byId("token-input").value = "not-the-token-of-this-one";
  dialog.leave("");
  await until(() => dialog.isOpen, "the question again");
  assert.match(page.byId("token-note").textContent, /was not accepted/);
  page.byId("token-input").value = ` ${TOKEN} `;
  dialog.leave("");
  await shown(opened, "generation", /generation 1/);
  assert.equal(page.stored.get("crossfade-token"), TOKEN);
});

test("a new share goes out after a question, with the reason", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  const { bench, card } = opened;
  const input = card("api").find(({ tag }) => tag === "input") ?? assert.fail();
  const form = card("api").find(({ tag }) => tag === "form") ?? assert.fail();
  input.value = "25";
  form.fire("submit");
  await confirm(opened, /Send 25% of api to the candidate\?/, "week two");
  await shown(opened, "announce", /Done: generation 2 \(applied\)/);
  assert.equal(bench.store.current.routes[0]?.split.candidatePpm, 250_000);
  assert.equal(bench.auditLog.read(1)[0]?.reason, "week two");
  await shown(opened, "routes", /set by hand/);
});

test("a question that is answered with no changes nothing", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  button(opened.card("api"), /Roll back/).fire("click");
  opened.page.byId("confirm-dialog").leave("no");
  button(opened.card("api"), /^Kill$/).fire("click");
  await confirm(opened, /Kill the candidate of api\?/);
  await shown(opened, "announce", /generation 2/);
  assert.deepEqual(
    opened.bench.auditLog.read(5).map(({ action }) => action),
    ["kill api", "start"],
  );
});

test("a route is rolled back, killed and given back from its card", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  const { bench, card } = opened;
  button(card("api"), /Roll back/).fire("click");
  await confirm(opened, /Roll api back\?/);
  await shown(opened, "routes", /rolled back/);
  button(card("api"), /^Kill$/).fire("click");
  await confirm(opened, /Kill the candidate of api/);
  await shown(opened, "routes", /Lift kill/);
  assert.match(card("api").className, /killed/);
  button(card("api"), /Lift kill/).fire("click");
  await confirm(opened, /Lift the kill of api/);
  await shown(opened, "generation", /generation 4/);
  assert.equal(bench.store.current.routes[0]?.split.killed, false);
});

test("all routes are killed and given back from the top", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  const { bench, page, card } = opened;
  page.byId("kill-all").fire("click");
  await confirm(opened, /Kill the candidate of every route\?/);
  await shown(opened, "kill-all", /Lift kill of all/);
  assert.equal(page.byId("kill-pill").hidden, false);
  assert.equal(button(card("api"), /Lift kill/).disabled, true);
  page.byId("kill-all").fire("click");
  await confirm(opened, /Lift the kill of all routes\?/);
  await shown(opened, "kill-all", /^Kill all/);
  assert.equal(bench.store.current.killed, false);
});

test("a refusal is shown in the words of the server", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  opened.bench.file.failures = 1;
  const input = opened.card("api").find(({ tag }) => tag === "input") ?? assert.fail();
  input.value = "30%";
  (opened.card("api").find(({ tag }) => tag === "form") ?? assert.fail()).fire("submit");
  await confirm(opened, /Send 30%/);
  await shown(opened, "failure", /cannot be written: ENOSPC/);
  assert.equal(opened.page.byId("failure").hidden, false);
});

test("a refused reload and settings that need a restart are shown", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  opened.bench.text = configText([{ name: "next" }], { listen: [{ address: "127.0.0.1:1" }] });
  opened.page.byId("reload").fire("click");
  await shown(opened, "notes", /Only a restart brings into force: listen/);
  // The routes that are gone lose their cards.
  assert.deepEqual(
    opened.page.byId("routes").children.map(({ attributes }) => attributes.get("aria-label")),
    ["Route next"],
  );
  const upstreams = { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "ca.crt" } } };
  opened.bench.text = configText([{ name: "next", candidate: null }], { upstreams });
  opened.page.byId("reload").fire("click");
  await shown(opened, "notes", /The last reload was refused.*\n.*ca\.crt/);
});

test("events and changes appear as they happen", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "audit", /start by ann: a test \(generation 1\)/);
  await opened.bench.ask("PUT", "/api/v1/routes/api/split", { body: { share: "<b>%" } });
  await opened.bench.ask("PUT", "/api/v1/routes/api/split", { body: { share: "33%", reason: "<b>bold</b>" } });
  await shown(opened, "events", /split changed: api by token/);
  await shown(opened, "audit", /split api 33% by token: <b>bold<\/b> \(generation 2\)/);
});

test("a lost connection is shown", async (t) => {
  const opened = await openPage(t);
  await shown(opened, "generation", /generation 1/);
  await opened.bench.server.close();
  opened.page.tick();
  await until(() => !opened.page.byId("lost").hidden, "the sign of a lost connection");
});
