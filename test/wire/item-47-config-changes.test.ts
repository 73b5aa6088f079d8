import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { adminPort } from "../support/admin-calls.ts";
import { ask } from "../support/admin-bench.ts";
import { servedBy } from "../support/arms.ts";
import { startHttpUpstream } from "../support/http-upstream.ts";
import { exchangeOnce, requestText } from "../support/raw-client.ts";
import { fileScope, type Scope } from "../support/scope.ts";
import { scrape, scrapeUntil, type Scrape } from "../support/scrape.ts";
import { useSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const v1 = await startHttpUpstream(fileScope, { name: "v1" });
const v2 = await startHttpUpstream(fileScope, { name: "v2" });
const sidecar = await useSidecar(fileScope, {
  upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
  routes: [{ name: "api", match: { pathPrefix: "/" }, split: { baseline: "v1", candidate: "v2", share: "0.0001%" } }],
});
const { configFile } = sidecar;
const TEXT = fs.readFileSync(configFile, "utf8");
let lastPpm = 1;

/** A text that differs from all before it in nothing but its share, which has the same length each time. */
function nextText(): { readonly text: string; readonly share: number } {
  lastPpm++;
  return {
    text: TEXT.replace("share: 0.0001%", `share: 0.${String(lastPpm).padStart(4, "0")}%`),
    share: lastPpm / 1e6,
  };
}

/** Waits until a share is in force; gives how long it took. */
async function inForce(share: number): Promise<number> {
  const sinceMs = performance.now();
  await scrapeUntil(sidecar, `a share of ${share}`, (now) => Math.abs(now.sum("crossfade_split_share") - share) < 1e-9);
  return Math.round(performance.now() - sinceMs);
}

/** The gauge follows when the change has been written down as well. */
async function lastReloadGood(): Promise<void> {
  await scrapeUntil(sidecar, "a good last reload", (now) => now.sum("crossfade_config_last_reload_success") === 1);
}

function renameOver(text: string): void {
  fs.writeFileSync(`${configFile}.tmp`, text);
  fs.renameSync(`${configFile}.tmp`, configFile);
}

/** As Kubernetes does it with a ConfigMap: a new folder, then the link `..data` is swapped by a rename. */
function swapData(text: string): void {
  const folder = path.dirname(configFile);
  const fresh = `..${process.hrtime.bigint()}`;
  fs.mkdirSync(path.join(folder, fresh));
  fs.writeFileSync(path.join(folder, fresh, path.basename(configFile)), text);
  const link = path.join(folder, "..data");
  const old = fs.existsSync(link) ? fs.readlinkSync(link) : null;
  fs.symlinkSync(fresh, `${link}_tmp`);
  fs.renameSync(`${link}_tmp`, link);
  if (old !== null) fs.rmSync(path.join(folder, old), { recursive: true });
}

function linkIntoData(text: string): void {
  swapData(text);
  fs.symlinkSync(path.join("..data", path.basename(configFile)), `${configFile}.link`);
  fs.renameSync(`${configFile}.link`, configFile);
}

function withOldTimes(text: string): void {
  const { atime, mtime } = fs.statSync(configFile);
  fs.writeFileSync(configFile, text);
  fs.utimesSync(configFile, atime, mtime);
}

const WAYS: Readonly<Record<string, (text: string) => void>> = {
  "a rename over it": renameOver,
  "truncating and writing it": (text) => fs.writeFileSync(configFile, text),
  "deleting and creating it": (text) => {
    fs.rmSync(configFile);
    fs.writeFileSync(configFile, text);
  },
  "a write of the same length that puts the old times back": withOldTimes,
  "the first swap of a ..data link": linkIntoData,
  "a further swap of the ..data link": swapData,
  "a swap back to a plain file": renameOver,
};

for (const [way, write] of Object.entries(WAYS)) {
  test(`a change of the file by ${way} is seen`, async (t) => {
    const { text, share } = nextText();
    write(text);
    t.diagnostic(`in force after ${await inForce(share)} ms (wanted: 2000)`);
    await lastReloadGood();
  });
}

test("a burst of a hundred writes is at most two reloads, and the last write wins", async () => {
  const before = await scrape(sidecar);
  let share = 0;
  for (let i = 0; i < 100; i++) {
    const next = nextText();
    if (i % 2 === 0) renameOver(next.text);
    else fs.writeFileSync(configFile, next.text);
    share = next.share;
  }
  await inForce(share);
  const after = await scrape(sidecar);
  const count = (now: Scrape): number => now.sum("crossfade_config_reloads_total", { result: "applied" });
  assert.ok(count(after) - count(before) <= 2, `${count(after) - count(before)} reloads`);
});

test("a half-written text changes nothing, is reported, and the whole text after it is taken", async (t) => {
  const before = await scrape(sidecar);
  const { text, share } = nextText();
  const seen = sidecar.logs.length;
  fs.writeFileSync(configFile, text.slice(0, text.indexOf("share:") + 8));
  await sidecar.log("config refused", seen);
  const during = await scrape(sidecar);
  assert.equal(during.sum("crossfade_config_last_reload_success"), 0);
  assert.equal(during.sum("crossfade_config_generation"), before.sum("crossfade_config_generation"));
  const refused = (now: Scrape): number => now.sum("crossfade_config_reloads_total", { result: "refused" });
  assert.equal(refused(during), refused(before) + 1);
  assert.equal(servedBy(await exchangeOnce(t, sidecar.port, requestText("GET", "/"))), "v1");
  const ready = await fetch(`${sidecar.metricsUrl}/readyz`);
  assert.equal(ready.status, 200, "it goes on serving, so it is ready");
  await ready.text();
  fs.writeFileSync(configFile, text);
  await inForce(share);
  await lastReloadGood();
});

const BAD: Readonly<Record<string, { readonly text: string; readonly path: RegExp }>> = {
  "an unknown key": { text: `${TEXT}\nruntimes: {}\n`, path: /runtimes/ },
  "a route name that is given twice": {
    text: TEXT.replace(/routes:\n([^]*)$/, "routes:\n$1$1"),
    path: /routes\[1\]\.name/,
  },
  "a share above the whole": { text: TEXT.replace("0.0001%", "120%"), path: /routes\[0\]\.split\.share/ },
  "an upstream that is not there": {
    text: TEXT.replace("candidate: v2", "candidate: v9"),
    path: /routes\[0\]\.split\.candidate/,
  },
  "an empty file": { text: "", path: /empty/ },
};

for (const [name, { text, path: named }] of Object.entries(BAD)) {
  test(`${name} is refused, with its place, by the watch and by a reload that is asked for`, async () => {
    const generation = (await scrape(sidecar)).sum("crossfade_config_generation");
    const good = fs.readFileSync(configFile, "utf8");
    const seen = sidecar.logs.length;
    renameOver(text);
    const record = await sidecar.log("config refused", seen);
    assert.match(JSON.stringify(record["problems"]), named);
    const answer = await ask(adminPort(sidecar), "POST", "/api/v1/reload");
    assert.equal(answer.status, 422);
    const { error } = answer.json as unknown as { error: { code: string; problems: string[] } };
    assert.equal(error.code, "invalid_config");
    assert.match(error.problems.join("\n"), named);
    assert.equal((await scrape(sidecar)).sum("crossfade_config_generation"), generation);
    renameOver(good);
    await lastReloadGood();
  });
}

test("every problem of a text is told at once", async () => {
  const good = fs.readFileSync(configFile, "utf8");
  renameOver(TEXT.replace("0.0001%", "120%").replace("candidate: v2", "candidate: v9").concat("\nextra: 1\n"));
  const answer = await ask(adminPort(sidecar), "POST", "/api/v1/reload");
  const { error } = answer.json as unknown as { error: { problems: string[] } };
  renameOver(good);
  assert.ok(
    error.problems.some((problem) => problem.startsWith("routes[0].split.share: ")),
    error.problems.join("\n"),
  );
  assert.ok(
    error.problems.some((problem) => problem.includes("extra")),
    error.problems.join("\n"),
  );
  await lastReloadGood();
});

test("SIGHUP reads at once, and says so when nothing changed", async () => {
  const { text, share } = nextText();
  renameOver(text);
  sidecar.signal("SIGHUP");
  await inForce(share);
  const seen = sidecar.logs.length;
  const before = await scrape(sidecar);
  sidecar.signal("SIGHUP");
  const { by } = await sidecar.log("config unchanged", seen);
  assert.equal(by, "signal");
  const after = await scrape(sidecar);
  assert.equal(after.sum("crossfade_config_generation"), before.sum("crossfade_config_generation"));
  const unchanged = (now: Scrape): number => now.sum("crossfade_config_reloads_total", { result: "unchanged" });
  assert.equal(unchanged(after), unchanged(before) + 1);
});

/** Config A names v1 and says so in x-a; config B names v2 and says so in x-b. */
function twins(letter: "a" | "b"): object {
  return {
    runtime: { threads: 2 },
    upstreams: { v1: { endpoints: [v1.url] }, v2: { endpoints: [v2.url] } },
    routes: [
      {
        name: "api",
        match: { pathPrefix: "/" },
        split: { baseline: letter === "a" ? "v1" : "v2" },
        headers: { version: `x-${letter}` },
      },
    ],
  };
}

async function askWhile(scope: Scope, port: number, going: () => boolean): Promise<string[]> {
  const seen: string[] = [];
  while (going()) {
    const answer = await exchangeOnce(scope, port, requestText("GET", "/"));
    const { upstream } = JSON.parse(answer.text) as { upstream: string };
    const fields = answer.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    seen.push(`${fields.filter((name) => /^x-[ab]$/.test(name)).join()} ${upstream}`);
  }
  return seen;
}

test("no request sees a mix of two configs", async (t) => {
  const twin = await useSidecar(t, twins("a"));
  let going = true;
  const asking = Array.from({ length: 4 }, () => askWhile(t, twin.port, () => going));
  for (let i = 1; i <= 10; i++) {
    twin.writeConfig(twins(i % 2 === 0 ? "a" : "b"));
    await until(() => twin.logs.filter(({ msg }) => msg === "config applied").length >= i, `config ${i} to be applied`);
  }
  going = false;
  const seen = (await Promise.all(asking)).flat();
  t.diagnostic(`${seen.length} answers`);
  assert.deepEqual([...new Set(seen)].toSorted(), ["x-a v1", "x-b v2"]);
});
