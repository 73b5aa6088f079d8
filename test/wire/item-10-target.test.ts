import assert from "node:assert/strict";
import test from "node:test";
import { routesTo } from "../support/configs.ts";
import { assertLocalReply } from "../support/local-reply.ts";
import { connectRaw, exchangeOnce, requestText } from "../support/raw-client.ts";
import { startRawUpstream } from "../support/raw-upstream.ts";
import { fileScope } from "../support/scope.ts";
import { useSidecar } from "../support/sidecar.ts";

const admin = await startRawUpstream(fileScope);
const root = await startRawUpstream(fileScope);
// The route that guards /admin comes first: whatever an upstream would read as /admin must not slip past it.
const sidecar = await useSidecar(fileScope, routesTo({ "/admin": admin.url, "/": root.url }));

const REFUSED: readonly (readonly [string, string])[] = [
  ["a fragment", "/a#b"],
  ["a lone fragment", "/#"],
  ["a fragment behind a query", "/a?b#c"],
  ["raw bytes above 0x7F", "/caf\xe9"],
  ["raw bytes above 0x7F in the query", "/?q=\xff"],
  ["an escaped NUL in the path", "/a%00b"],
  ["a broken escape", "/a%zz"],
  ["half an escape", "/a%4"],
  ["no leading slash", "a/b"],
];

for (const [what, target] of REFUSED) {
  test(`a target with ${what} is refused and unseen upstream`, async (t) => {
    root.forget();
    const client = await connectRaw(t, sidecar.port);
    assertLocalReply(await client.exchange(requestText("GET", target)), 400);
    assert.equal(root.text() + admin.text(), "");
  });
}

const BYTE_EXACT = [
  "/a%2Fb",
  "/a%2fb",
  "/a//b",
  "//a///b/",
  "/a;v=1/b;w",
  "/a+b?c+d=%20+e",
  "/%41%7e",
  "/a/./b/../c",
  "/a?",
  "/?a=b&&c=/../d//e?f",
  "/a|b{c}^`\"<>'",
  "/!$&'()*,:@[]",
  "/%E2%82%AC",
];

for (const target of BYTE_EXACT) {
  test(`${target} reaches the upstream byte for byte`, async (t) => {
    root.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", target));
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await root.request()).target, target);
  });
}

const SPELLINGS_OF_ADMIN = [
  "/admin",
  "/admin/",
  "/admin?x",
  "/%61dmin",
  "/%61%64%6D%69%6e/users",
  "//admin",
  "///admin",
  "/./admin",
  "/x/../admin",
  "/x/y/../../admin/z",
  "/%2e/admin",
  "/x/%2E%2e/admin",
  "/../admin",
  "/x/..//admin",
  "\\admin".replace("\\", "/\\"),
  "/x/..\\admin",
];

for (const target of SPELLINGS_OF_ADMIN) {
  test(`${target} is ruled by the route for /admin and forwarded as it came`, async (t) => {
    admin.forget();
    root.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", target));
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await admin.request()).target, target);
    assert.equal(root.requests.length, 0);
  });
}

const NOT_ADMIN = [
  "/Admin",
  "/x/admin",
  "/admi",
  "/admin/../x",
  "/admin/%2e%2e/x",
  "/x?/admin",
  "/%2Fadmin",
  "/%2561dmin",
];

for (const target of NOT_ADMIN) {
  test(`${target} is not ruled by the route for /admin`, async (t) => {
    root.forget();
    admin.forget();
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", target))).status, 200);
    assert.equal((await root.request()).target, target);
    assert.equal(admin.requests.length, 0);
  });
}

test("an absolute target is ruled by its path", async (t) => {
  admin.forget();
  await exchangeOnce(t, sidecar.port, requestText("GET", "http://a.test/x/../admin"));
  assert.equal((await admin.request()).target, "/x/../admin");
});

for (const [target, forwarded] of [
  ["http://a.test", "/"],
  ["http://a.test?x=1", "/?x=1"],
  ["HTTP://a.test/p", "/p"],
] as const) {
  test(`${target} goes on as ${forwarded}`, async (t) => {
    root.forget();
    assert.equal((await exchangeOnce(t, sidecar.port, requestText("GET", target))).status, 200);
    assert.equal((await root.request()).target, forwarded);
  });
}

for (const target of ["https://u:p@a.test/", "ftp://a.test/", "http:///x", "//", "http://a.test:99x/"]) {
  test(`${target} is refused or read as a path, never as another host`, async (t) => {
    root.forget();
    const answer = await exchangeOnce(t, sidecar.port, requestText("GET", target));
    assert.ok(answer.status === 400 || target === "//", `status ${answer.status}`);
    if (answer.status === 200) assert.equal((await root.request()).target, target);
  });
}

test("OPTIONS * goes on as it is", async (t) => {
  root.forget();
  const answer = await exchangeOnce(t, sidecar.port, requestText("OPTIONS", "*"));
  assert.ok([200, 404].includes(answer.status), `status ${answer.status}`);
  if (answer.status === 200) assert.equal((await root.request()).target, "*");
});

test("the asterisk form is refused for any other method", async (t) => {
  assertLocalReply(await exchangeOnce(t, sidecar.port, requestText("GET", "*")), 400);
});

test("CONNECT opens no tunnel", async (t) => {
  root.forget();
  const client = await connectRaw(t, sidecar.port);
  client.request("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
  const answer = await client.answer();
  assert.ok(answer.status >= 400 && answer.status < 500, `status ${answer.status}`);
  assert.equal(root.text(), "");
});
