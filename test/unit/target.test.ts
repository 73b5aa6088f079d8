import assert from "node:assert/strict";
import { test } from "node:test";
import { normalisePath, parseTarget } from "../../src/model/target.ts";

test("every spelling of a path is routed as the same path", () => {
  for (const spelling of [
    "/admin",
    "/%61dmin",
    "//admin",
    "/x/../admin",
    "/./admin",
    "/x/%2e%2e/admin",
    "/\\admin",
    "/%5Cadmin",
  ]) {
    assert.equal(parseTarget(spelling, "GET")?.path, "/admin", spelling);
  }
});

test("what goes upstream is the target as it came", () => {
  for (const raw of ["/a%2Fb//c;d+e?x=%00&y", "/x/../y", "//z", "/?q=a b".replace(" ", "%20")]) {
    assert.equal(parseTarget(raw, "GET")?.forward, raw);
  }
});

test("an escaped slash does not split a segment", () => {
  assert.equal(normalisePath("/a%2fb/c"), "/a%2Fb/c");
  assert.equal(normalisePath("/a%252fb"), "/a%252fb", "a doubly escaped one stays doubly escaped");
});

test("a trailing slash is kept, and dot segments end in one", () => {
  assert.equal(normalisePath("/a//b/"), "/a/b/");
  assert.equal(normalisePath("/a/b/.."), "/a/");
  assert.equal(normalisePath("/.."), "/");
  assert.equal(normalisePath("/../../a"), "/a");
});

test("fragments, user info, other schemes, broken escapes and escaped NULs are refused", () => {
  for (const bad of ["/a#b", "http://u:p@h/", "ftp://h/", "/%zz", "/%4", "/a%00b", "foo", "h:80", "http:///x"]) {
    assert.equal(parseTarget(bad, "GET"), null, bad);
  }
});

test("an escape in the query is nobody's path", () => {
  assert.equal(parseTarget("/a?x=%zz%00", "GET")?.path, "/a");
});

test("an absolute target gives its authority and goes up in origin form", () => {
  assert.deepEqual(parseTarget("HTTP://H.test:81/a?b", "GET"), {
    forward: "/a?b",
    authority: "H.test:81",
    path: "/a",
    query: "b",
  });
  assert.equal(parseTarget("http://h?x=1", "GET")?.forward, "/?x=1");
});

test("the asterisk form is for OPTIONS alone", () => {
  assert.equal(parseTarget("*", "OPTIONS")?.forward, "*");
  assert.equal(parseTarget("http://h", "OPTIONS")?.forward, "*");
  assert.equal(parseTarget("*", "GET"), null);
});
