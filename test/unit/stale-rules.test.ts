import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cacheDirectives } from "../../src/policy/cache-directives.ts";
import { readStaleRequest, staleTerms, standingOf, variantText } from "../../src/policy/stale-rules.ts";
import { answerHead, staleRequest, type Asked } from "../support/stale-requests.ts";

const MAX_AGE_MS = 600_000;

/** Source, answer fields, how many seconds it is kept for one caller, and how many when answers are shared. */
const ANSWERS: readonly (readonly [source: string, headers: readonly string[], own: number, shared: number])[] = [
  ["RFC 9111 §3: a status that caches know, and no word against it", [], 600, 600],
  ["RFC 9111 §4.2.4: stale because the config allows it", ["Cache-Control", "max-age=1"], 600, 600],
  ["RFC 9111 §5.2.2.5: no-store", ["Cache-Control", "no-store"], 0, 0],
  ["RFC 9111 §5.2.2.5: no-store in a second line", ["Cache-Control", "max-age=9", "cache-control", "No-Store"], 0, 0],
  [
    "RFC 9111 §5.2.2.3: must-understand does not lift no-store here",
    ["Cache-Control", "must-understand, no-store"],
    0,
    0,
  ],
  ["RFC 9111 §5.2.2.7: private", ["Cache-Control", "private"], 600, 0],
  ["RFC 9111 §5.2.2.7: private of one field counts as a whole", ["Cache-Control", 'private="x-a, x-b"'], 600, 0],
  ["RFC 9111 §5.2.2.4: no-cache", ["Cache-Control", "no-cache"], 0, 0],
  ["RFC 9111 §5.2.2.4: no-cache of one field counts as a whole", ["Cache-Control", 'max-age=60, no-cache="x-a"'], 0, 0],
  ["RFC 9111 §5.2.2.2: must-revalidate forbids stale answers", ["Cache-Control", "must-revalidate"], 0, 0],
  [
    "RFC 9111 §5.2.2.2: must-revalidate, but fresh ones may be told",
    ["Cache-Control", "must-revalidate, max-age=60"],
    60,
    60,
  ],
  ["RFC 9111 §5.2.2.8: proxy-revalidate binds shared caches", ["Cache-Control", "proxy-revalidate"], 600, 0],
  ["RFC 9111 §5.2.2.10: s-maxage is the same with a time", ["Cache-Control", "max-age=60, s-maxage=30"], 600, 30],
  ["RFC 9111 §5.2.2.9: public adds nothing", ["Cache-Control", "public"], 600, 600],
  ["RFC 9111 §4.2.1: a time that is no number is 0", ["Cache-Control", "must-revalidate, max-age=soon"], 0, 0],
  ["RFC 9111 §4.2.1: of two times the shorter", ["Cache-Control", "must-revalidate, max-age=90, max-age=40"], 40, 40],
  [
    "RFC 5861 §4: stale-if-error counts from when it is stale",
    ["Cache-Control", "max-age=60, stale-if-error=30"],
    90,
    90,
  ],
  ["RFC 5861 §4: without a lifetime it is stale at once", ["Cache-Control", "stale-if-error=30"], 30, 30],
  ["RFC 5861 §4: stale-if-error=0 forbids it", ["Cache-Control", "stale-if-error=0"], 0, 0],
  ["RFC 5861 §4: it never lengthens what the config says", ["Cache-Control", "stale-if-error=86400"], 600, 600],
  [
    "RFC 9111 §4.2.4: must-revalidate beats stale-if-error",
    ["Cache-Control", "must-revalidate, stale-if-error=30"],
    0,
    0,
  ],
  ["RFC 9111 §5.1: Age shortens", ["Cache-Control", "stale-if-error=30", "Age", "12"], 18, 18],
  ["RFC 9111 §5.1: Age that used all of it up", ["Cache-Control", "stale-if-error=30", "Age", "30"], 0, 0],
  ["RFC 9111 §5.1: an Age that is no number is ignored", ["Cache-Control", "stale-if-error=30", "Age", "old"], 30, 30],
  ["RFC 9111 §7.3: a cookie is somebody's", ["Set-Cookie", "a=1"], 0, 0],
  ["RFC 9111 §4.1: Vary *", ["Vary", "Accept, *"], 0, 0],
  ["RFC 9111 §4.1: Vary", ["Vary", "Accept"], 600, 600],
  ["RFC 9111 §5.4: Pragma means nothing in answers", ["Pragma", "no-cache"], 600, 600],
];

for (const [source, headers, own, shared] of ANSWERS) {
  test(`${source}: kept for ${own} s, shared for ${shared} s`, () => {
    const kept = (isShared: boolean): number =>
      (staleTerms(answerHead(headers), { maxAgeMs: MAX_AGE_MS, shared: isShared })?.keepMs ?? 0) / 1_000;
    assert.deepEqual([kept(false), kept(true)], [own, shared]);
  });
}

/** Source, request, and whether an answer to it may be kept and told: for one caller, then where answers are shared. */
const REQUESTS: readonly (readonly [source: string, asked: Asked, own: string, shared: string])[] = [
  ["a plain GET", {}, "keep tell", "keep tell"],
  ["RFC 9111 §4: HEAD may be answered from a GET", { method: "HEAD" }, "tell", "tell"],
  ["RFC 9111 §4.4: POST never", { method: "POST" }, "", ""],
  ["RFC 9110 §9.3.8: OPTIONS never", { method: "OPTIONS" }, "", ""],
  ["a caller without a key", { key: null }, "", "keep tell"],
  ["RFC 9111 §5.2.1.5: no-store", { headers: ["Cache-Control", "no-store"] }, "tell", "tell"],
  ["RFC 9111 §5.2.1.4: no-cache", { headers: ["Cache-Control", "no-cache"] }, "keep", "keep"],
  ["RFC 9111 §5.2.1.1: max-age=0 is a wish", { headers: ["Cache-Control", "max-age=0"] }, "keep tell", "keep tell"],
  ["RFC 9111 §3.5: Authorization", { headers: ["Authorization", "Basic x"] }, "keep tell", ""],
  ["a cookie", { headers: ["Cookie", "a=1"] }, "keep tell", "keep tell"],
  ["RFC 9111 §3.3: Range", { headers: ["Range", "bytes=0-1"] }, "", ""],
  ["RFC 9110 §9.3.1: GET with a body", { headers: ["Content-Length", "3"] }, "", ""],
  ["RFC 9110 §13: conditions are not looked at", { headers: ["If-None-Match", '"a"'] }, "keep tell", "keep tell"],
];

for (const [source, asked, own, shared] of REQUESTS) {
  test(`${source}: ${own === "" ? "neither" : own}; shared: ${shared === "" ? "neither" : shared}`, () => {
    const words = (isShared: boolean): string => {
      const reading = readStaleRequest(staleRequest(asked), isShared);
      return [reading?.mayKeep === true ? "keep" : "", reading?.mayTell === true ? "tell" : ""].join(" ").trim();
    };
    assert.deepEqual([words(false), words(true)], [own, shared]);
  });
}

test("good are whole successes and permanent redirects; what may be part of the trouble is not", () => {
  const standings = Object.groupBy(
    [200, 201, 203, 204, 206, 301, 302, 304, 308, 401, 403, 404, 408, 410, 412, 416, 425, 429, 500, 503],
    (status) => standingOf("GET", status),
  );
  assert.deepEqual(
    { ...standings },
    {
      good: [200, 203, 204, 301, 308],
      confirmed: [304],
      silent: [206, 408, 412, 416, 425, 429, 500, 503],
      otherwise: [201, 302, 401, 403, 404, 410],
    },
  );
});

test("a change that did not fail makes what is kept obsolete, a safe method never does (RFC 9111 §4.4)", () => {
  const of = (method: string): readonly string[] => [200, 303, 404, 500].map((status) => standingOf(method, status));
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "X-OWN"]) {
    assert.deepEqual(of(method), ["otherwise", "otherwise", "silent", "silent"], method);
  }
  for (const method of ["HEAD", "OPTIONS"]) assert.deepEqual(of(method), ["silent", "silent", "silent", "silent"]);
});

describe("two requests share what is kept", () => {
  const textOf = (asked: Asked, shared: boolean): string =>
    readStaleRequest(staleRequest(asked), shared)?.keyText ?? "";
  const same = (one: Asked, other: Asked, shared = false): boolean => textOf(one, shared) === textOf(other, shared);

  test("when caller and target are the same, whatever else they say", () => {
    assert.ok(same({ headers: ["Accept", "a"] }, { headers: ["Accept", "b"], method: "HEAD" }));
  });

  const differences: Readonly<Record<string, readonly [Asked, Asked, apartWhenShared: boolean]>> = {
    key: [{ key: "u1" }, { key: "u2" }, false],
    authorization: [{ headers: ["Authorization", "a"] }, { headers: ["Authorization", "b"] }, false],
    "authorization or none": [{ headers: ["Authorization", "a"] }, {}, false],
    cookie: [{ headers: ["Cookie", "s=1"] }, { headers: ["Cookie", "s=2"] }, false],
    "where the key ends": [
      { key: "u1", headers: ["Authorization", "2:ab"] },
      { key: "u12:ab", headers: ["Authorization", ""] },
      false,
    ],
    target: [{ target: "/a" }, { target: "/a?b" }, true],
    host: [{ headers: ["host", "a.test"] }, { headers: ["host", "b.test"] }, true],
    scheme: [{}, { encrypted: true }, true],
    "scheme that a trusted proxy says": [{}, { headers: ["X-Forwarded-Proto", "https"] }, true],
    "host that a trusted proxy says": [{}, { headers: ["X-Forwarded-Host", "b.test"] }, true],
  };
  for (const [what, [one, other, apartWhenShared]] of Object.entries(differences)) {
    test(`not when they differ in ${what}${apartWhenShared ? "" : ", unless declared shared"}`, () => {
      assert.equal(same(one, other), false);
      assert.equal(same(one, other, true), !apartWhenShared);
    });
  }
});

test("Vary looks at what the upstream was sent: ours included, absent is not empty", () => {
  const textOf = (vary: readonly string[], asked: Asked): string => variantText(vary, staleRequest(asked));
  const vary = ["accept", "x-forwarded-for"];
  assert.equal(textOf(vary, { headers: ["Accept", "a"] }), textOf(vary, { headers: ["accept", "a", "x-other", "1"] }));
  assert.notEqual(textOf(vary, { headers: ["Accept", ""] }), textOf(vary, {}));
  assert.notEqual(textOf(vary, { peerAddress: "10.0.0.1" }), textOf(vary, { peerAddress: "10.0.0.2" }));
  assert.equal(
    textOf(["accept"], { headers: ["Accept", "a", "Accept", "b"] }),
    textOf(["accept"], { headers: ["Accept", "a, b"] }),
  );
});

test("names in Vary are read in any case and order, and once", () => {
  const terms = staleTerms(answerHead(["Vary", "Cookie, accept", "vary", "ACCEPT,,"]), { maxAgeMs: 1, shared: false });
  assert.deepEqual(terms?.vary, ["accept", "cookie"]);
});

test("directives are read with quoted values, blanks and names in any case", () => {
  const read = cacheDirectives('Max-Age="60" ,private="a, no-store", S-MAXAGE = 5,stale-if-error=7;x');
  assert.deepEqual(
    [read.maxAgeS, read.isPrivate, read.noStore, read.sharedMaxAgeS, read.staleIfErrorS],
    [60, true, false, 0, 7],
  );
  assert.equal(cacheDirectives('private="a, no-store').noStore, true, "a quote that never ends hides nothing");
});
