import assert from "node:assert/strict";
import { test } from "node:test";
import { compile, referencedFiles, sectionDigests } from "../../src/config/compile.ts";
import type { SnapshotDraft } from "../../src/config/compile.ts";
import type { Config } from "../../src/config/config.ts";
import { checkBodyFiles } from "../../src/config/static-answer.ts";
import { EMPTY_OVERLAY } from "../../src/model/overlay.ts";
import type { Overlay, RouteOverlay } from "../../src/model/overlay.ts";
import { configFrom, goodConfig } from "../support/config-text.ts";

const KILL = { actor: "ann", reason: "fire", atMs: 1 };

function draftOf(
  config: Config,
  overlay: Overlay = EMPTY_OVERLAY,
  files: ReadonlyMap<string, string> = new Map(),
): SnapshotDraft {
  const result = compile(config, overlay, files);
  assert.ok(result.ok, JSON.stringify(result));
  return result.draft;
}

// oxlint-disable-next-line typescript/no-explicit-any
type Change = (config: any) => void;

/** A config with a change, compiled. */
function changed(change: Change): { readonly config: Config; readonly draft: SnapshotDraft } {
  const source = goodConfig();
  change(source);
  const config = configFrom(source);
  return { config, draft: draftOf(config) };
}

function onApi(entry: Partial<RouteOverlay>): Overlay {
  return { version: 1, killed: null, routes: { api: { split: null, killed: null, ...entry } } };
}

function shareEntry(config: Config, candidatePpm: number): NonNullable<RouteOverlay["split"]> {
  const basedOn = sectionDigests(config).get("api") ?? "";
  return { candidatePpm, basedOn, cause: "split", actor: "ann", reason: "try", atMs: 1 };
}

test("a config becomes a snapshot with segments resolved, frozen all the way down", () => {
  const draft = draftOf(configFrom(goodConfig()));
  assert.deepEqual(draft.routes[0]?.split, {
    baseline: "v1",
    candidate: "v2",
    candidatePpm: 100_000,
    killed: false,
    sticky: [],
    onMissingKey: { kind: "random" },
    salt: "api",
    overrides: [{ when: { kind: "segment", name: "beta", keys: ["u1"], headers: {} }, to: "candidate" }],
  });
  assert.deepEqual([draft.killed, draft.viaName, draft.trustedProxies, draft.tls], [false, "crossfade", [], [null]]);
  assert.ok(Object.isFrozen(draft) && Object.isFrozen(draft.routes[0]?.split.overrides[0]?.when));
  assert.ok(!("protocol" in (draft.upstreams[0] ?? {})));
  structuredClone(draft);
});

test("a share set by hand wins while it is based on the section as it is", () => {
  const config = configFrom(goodConfig());
  const entry = shareEntry(config, 250_000);
  assert.equal(draftOf(config, onApi({ split: entry })).routes[0]?.split.candidatePpm, 250_000);
  assert.equal(
    draftOf(config, onApi({ split: { ...entry, basedOn: "other" } })).routes[0]?.split.candidatePpm,
    100_000,
  );
  assert.equal(draftOf(config).routes[0]?.split.candidatePpm, 100_000, "and leaves no trace in the config");
});

test("a share set by hand moves nobody on a route that has no candidate", () => {
  const source = goodConfig();
  source.routes[0].split = { baseline: "v1" };
  const config = configFrom(source);
  assert.equal(draftOf(config, onApi({ split: shareEntry(config, 250_000) })).routes[0]?.split.candidatePpm, 0);
});

test("kills reach the snapshot, of one route or of all", () => {
  const config = configFrom(goodConfig());
  assert.equal(draftOf(config, onApi({ killed: KILL })).routes[0]?.split.killed, true);
  assert.equal(draftOf(config, onApi({ killed: KILL })).killed, false);
  assert.equal(draftOf(config, { ...EMPTY_OVERLAY, killed: KILL }).killed, true);
});

test("entries of the overlay for routes that look like object members touch nothing", () => {
  const source = goodConfig();
  source.routes[0].name = "constructor";
  assert.equal(draftOf(configFrom(source)).routes[0]?.split.killed, false);
});

const SAME_SECTION: readonly (readonly [string, Change])[] = [
  [
    "another share of another route",
    (c) => c.routes.push({ name: "b", split: { baseline: "v1", candidate: "v2", share: "3%" } }),
  ],
  ["another match", (c) => (c.routes[0].match = { path: "/x" })],
  ["another upstream setting", (c) => (c.upstreams.v2.timeouts = { connect: "9s" })],
  [
    "another order of keys",
    (c) => (c.routes[0].split = Object.fromEntries(Object.entries(c.routes[0].split).toReversed())),
  ],
];

for (const [name, change] of SAME_SECTION) {
  test(`${name} leaves the digest of a split section as it was`, () => {
    const before = sectionDigests(configFrom(goodConfig())).get("api");
    assert.equal(sectionDigests(changed(change).config).get("api"), before);
  });
}

const OTHER_SECTION: readonly (readonly [string, Change])[] = [
  ["another share", (c) => (c.routes[0].split.share = "11%")],
  ["the same share in other digits", (c) => (c.routes[0].split.share = "10.0%")],
  ["another salt", (c) => (c.routes[0].split.salt = "x")],
];

for (const [name, change] of OTHER_SECTION) {
  test(`${name} is an edit of the split section`, () => {
    const before = sectionDigests(configFrom(goodConfig())).get("api");
    assert.notEqual(sectionDigests(changed(change).config).get("api"), before);
  });
}

test("a share that comes from the environment is part of the section", () => {
  const before = sectionDigests(configFrom(goodConfig())).get("api");
  const env = { CROSSFADE_ROUTES_API_SPLIT_SHARE: "11%" };
  assert.notEqual(sectionDigests(configFrom(goodConfig(), env)).get("api"), before);
});

const SAME_ROUTE: readonly (readonly [string, Change])[] = [
  ["another share", (c) => (c.routes[0].split.share = "90%")],
  ["a default that is written out", (c) => (c.routes[0].split.onMissingKey = "random")],
  ["another route", (c) => c.routes.push({ name: "b", split: { baseline: "v1" } })],
];

for (const [name, change] of SAME_ROUTE) {
  test(`${name} leaves the digest of a route as it was`, () => {
    const before = draftOf(configFrom(goodConfig())).routes[0]?.digest;
    assert.equal(changed(change).draft.routes[0]?.digest, before);
  });
}

const OTHER_ROUTE: readonly (readonly [string, Change])[] = [
  ["another key in its segment", (c) => (c.segments.beta.keys = ["u2"])],
  ["another salt", (c) => (c.routes[0].split.salt = "x")],
  ["another match", (c) => (c.routes[0].match = { path: "/x" })],
  ["another priority", (c) => (c.routes[0].priority = "low")],
  ["retries", (c) => (c.routes[0].retry = {})],
  ["a hedge", (c) => (c.routes[0].hedge = { delay: "1s" })],
  ["a fallback", (c) => (c.routes[0].fallback = ["arm"])],
  ["another version header", (c) => (c.routes[0].headers = { version: "x-v" })],
];

for (const [name, change] of OTHER_ROUTE) {
  test(`${name} changes the digest of a route`, () => {
    const before = draftOf(configFrom(goodConfig())).routes[0]?.digest;
    assert.notEqual(changed(change).draft.routes[0]?.digest, before);
  });
}

function tlsConfig(): Config {
  const source = goodConfig();
  source.listen[0].tls = { cert: "/l.crt", key: "/l.key", clientCa: "/ca.crt" };
  source.upstreams.v1 = { endpoints: ["https://h:1"], tls: { ca: "/ca.crt", cert: "/u.crt", key: "/u.key" } };
  source.upstreams.v2 = { endpoints: ["https://h:2"], tls: { serverName: "h" } };
  return configFrom(source);
}

const FILES = new Map([
  ["/l.crt", "LC"],
  ["/l.key", "LK"],
  ["/ca.crt", "CA"],
  ["/u.crt", "UC"],
  ["/u.key", "UK"],
]);

test("the files that a config names are listed once each, and their texts end up where they are needed", () => {
  const config = tlsConfig();
  assert.deepEqual(referencedFiles(config), ["/l.crt", "/l.key", "/ca.crt", "/u.crt", "/u.key"]);
  const draft = draftOf(config, EMPTY_OVERLAY, FILES);
  assert.deepEqual(draft.tls, [{ cert: "LC", key: "LK", clientCa: "CA" }]);
  assert.deepEqual(
    draft.upstreams.map(({ tls }) => tls),
    [
      { ca: "CA", cert: "UC", key: "UK", serverName: null },
      { ca: null, cert: null, key: null, serverName: "h" },
    ],
  );
});

test("files that were not read are all reported, at every place that names them", () => {
  const result = compile(
    tlsConfig(),
    EMPTY_OVERLAY,
    new Map([
      ["/l.crt", "LC"],
      ["/l.key", "LK"],
    ]),
  );
  assert.deepEqual(result.ok ? [] : result.problems, [
    { path: "listen[0].tls.clientCa", value: '"/ca.crt"', message: "was not read" },
    { path: "upstreams.v1.tls.cert", value: '"/u.crt"', message: "was not read" },
    { path: "upstreams.v1.tls.key", value: '"/u.key"', message: "was not read" },
    { path: "upstreams.v1.tls.ca", value: '"/ca.crt"', message: "was not read" },
  ]);
});

test("the digest of an upstream follows its settings and the texts of its files, not the order of others", () => {
  const first = draftOf(tlsConfig(), EMPTY_OVERLAY, FILES).upstreams;
  const rotated = draftOf(tlsConfig(), EMPTY_OVERLAY, new Map([...FILES, ["/u.crt", "UC2"]])).upstreams;
  assert.notEqual(rotated[0]?.digest, first[0]?.digest);
  assert.equal(rotated[1]?.digest, first[1]?.digest);
  const plain = draftOf(configFrom(goodConfig())).upstreams;
  assert.equal(changed((c) => (c.routes[0].split.share = "1%")).draft.upstreams[0]?.digest, plain[0]?.digest);
  assert.notEqual(
    changed((c) => (c.upstreams.v1.timeouts = { connect: "2s" })).draft.upstreams[0]?.digest,
    plain[0]?.digest,
  );
});

function staticConfig(answer: object): Config {
  const source = goodConfig();
  source.routes[0].fallback = [{ static: answer }];
  return configFrom(source);
}

const JSON_TYPE = ["content-type", "application/json"];
const TEXT_TYPE = ["content-type", "text/plain; charset=utf-8"];

const ANSWERS = [
  ["JSON", { body: '{"a":1}' }, JSON_TYPE, '{"a":1}'],
  ["plain text", { body: "gone" }, TEXT_TYPE, "gone"],
  ["text outside of ASCII", { body: "fühlbar" }, TEXT_TYPE, "f\u00c3\u00bchlbar"],
  ["nothing", {}, [], ""],
  [
    "what is typed by the file",
    { body: "{}", headers: { "Content-Type": "text/x" } },
    ["content-type", "text/x"],
    "{}",
  ],
  ["a file", { bodyFile: "f.json", headers: { "x-a": "b" } }, [...JSON_TYPE, "x-a", "b"], "[1]"],
] as const;

for (const [name, answer, headers, body] of ANSWERS) {
  test(`a static answer of ${name} has its type and its bytes`, () => {
    const config = staticConfig(answer);
    const [step] = draftOf(config, EMPTY_OVERLAY, new Map([["f.json", "[1]"]])).routes[0]?.fallback ?? [];
    assert.deepEqual(step, { kind: "static", status: 200, headers, body });
  });
}

test("a route whose file changed is another route, whatever was compiled of it before", () => {
  const config = staticConfig({ bodyFile: "f" });
  assert.deepEqual(referencedFiles(config), ["f"]);
  const [before, after] = ["a", "b"].map((text) => draftOf(config, EMPTY_OVERLAY, new Map([["f", text]])).routes[0]);
  assert.notEqual(after?.digest, before?.digest);
  assert.deepEqual(compile(config, EMPTY_OVERLAY, new Map()), {
    ok: false,
    problems: [{ path: "routes[0].fallback[0].static.bodyFile", value: '"f"', message: "was not read" }],
  });
});

test("a body file that is too large is told with its place and its size", () => {
  const config = staticConfig({ bodyFile: "f" });
  assert.deepEqual(checkBodyFiles(config, new Map([["f", "x".repeat(1_048_576)]])), []);
  assert.deepEqual(checkBodyFiles(config, new Map([["f", `${"x".repeat(1_048_575)}ü`]])), [
    {
      path: "routes[0].fallback[0].static.bodyFile",
      value: '"f"',
      message: "has 1048577 bytes; allowed: 1048576 or fewer",
    },
  ]);
});

test("rules of health and of outliers are no part of what connections are shared by, a circuit's are", () => {
  const before = draftOf(configFrom(goodConfig())).upstreams[0]?.digest;
  const digestWith = (rules: object): string | undefined =>
    changed((c) => Object.assign(c.upstreams.v1, rules)).draft.upstreams[0]?.digest;
  assert.equal(digestWith({ health: { tcp: {} }, outlierDetection: {} }), before);
  assert.notEqual(digestWith({ circuitBreaker: {} }), before);
});

test("a config that no parser made is refused loudly", () => {
  const config = { ...configFrom(goodConfig()), segments: [] };
  assert.throws(() => compile(config, EMPTY_OVERLAY, new Map()), /segment "beta" is in no checked config/);
});
