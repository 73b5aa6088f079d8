import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressFromText,
  cidrFromText,
  endpointFromText,
  isLoopback,
  isWildcard,
  textFromAddress,
} from "../../src/config/address.ts";
import { endpointText } from "../../src/model/endpoint.ts";

const ADDRESSES = [
  ["0.0.0.0:8080", "0.0.0.0", 8080],
  ["127.0.0.1:0", "127.0.0.1", 0],
  ["[::1]:0", "::1", 0],
  ["[2001:db8::1]:65535", "2001:db8::1", 65535],
  ["localhost:9901", "localhost", 9901],
] as const;

for (const [text, host, port] of ADDRESSES) {
  test(`${text} is an address, and printed as it was written`, () => {
    assert.deepEqual(addressFromText(text), { ok: true, value: { host, port } });
    assert.equal(textFromAddress({ host, port }), text);
  });
}

const WRONG_ADDRESSES = [
  [":8080", "names no host; write 0.0.0.0:8080 to listen on every address"],
  ["*:80", "names no host; write 0.0.0.0:80 to listen on every address"],
  ["127.0.0.1:65536", "has a port above 65535"],
  ["127.0.0.1", "is not an address"],
  ["::1:80", "is not an address"],
  ["[::g]:80", "has no valid IPv6 host"],
  ["1.2.3:80", "has no valid host"],
  ["a b:80", "has no valid host"],
  ["http://127.0.0.1:80", "is not an address"],
] as const;

for (const [text, message] of WRONG_ADDRESSES) {
  test(`"${text}" ${message}`, () => {
    const result = addressFromText(text);
    assert.ok(!result.ok && result.message.startsWith(message), JSON.stringify(result));
  });
}

const ENDPOINTS = [
  ["http://127.0.0.1:9001", "http", "127.0.0.1", 9001, "http://127.0.0.1:9001"],
  ["http://Api.Example.org", "http", "api.example.org", 80, "http://api.example.org:80"],
  ["https://api.example.org/", "https", "api.example.org", 443, "https://api.example.org:443"],
  ["https://[::1]:8443", "https", "::1", 8443, "https://[::1]:8443"],
] as const;

for (const [text, scheme, host, port, printed] of ENDPOINTS) {
  test(`${text} is the endpoint ${printed}`, () => {
    assert.deepEqual(endpointFromText(text), { ok: true, value: { scheme, host, port, socketPath: null } });
    assert.equal(endpointText({ scheme, host, port, socketPath: null }), printed);
  });
}

test("a path behind http+unix:// is the endpoint of a Unix socket, and printed as it was written", () => {
  const endpoint = { scheme: "http", host: "localhost", port: 0, socketPath: "/run/local.sock" } as const;
  assert.deepEqual(endpointFromText("HTTP+UNIX:///run/local.sock"), { ok: true, value: endpoint });
  assert.equal(endpointText(endpoint), "http+unix:///run/local.sock");
  const longest = `/${"x".repeat(106)}`;
  assert.ok(endpointFromText(`http+unix://${longest}`).ok);
});

const WRONG_ENDPOINTS = [
  ["https+unix:///run/x.sock", "uses https+unix://; allowed: http://, https://, http+unix://"],
  ["http+unix://run/x.sock", "names no socket; write http+unix:// and an absolute path"],
  ["http+unix://", "names no socket"],
  ["http+unix:///run/", "names no socket"],
  ["http+unix:///run/x.sock?q", "names no socket"],
  ["http+unix:///run/a b", "has blanks or control characters in its path"],
  [`http+unix:///${"é".repeat(60)}`, "has a path of 121 bytes; a socket's has at most 107"],
  ["127.0.0.1:9001", "is not an endpoint"],
  ["grpc://x:1", "uses grpc://, which this version (0.1) does not have yet; use http://"],
  ["h2c://x:1", "uses h2c://, which this version (0.1) does not have yet; use http://"],
  ["ftp://x", "uses ftp://; allowed: http://, https://"],
  ["http://u:p@x:1", "holds credentials"],
  ["http://x/path", "holds a path or a query"],
  ["http://x?q", "holds a path or a query"],
  ["http://x:0", "has port 0"],
  ["http://[::1", "has no valid host and port"],
  ["http://", "has no valid host and port"],
] as const;

for (const [text, message] of WRONG_ENDPOINTS) {
  test(`the endpoint "${text}" ${message}`, () => {
    const result = endpointFromText(text);
    assert.ok(!result.ok && result.message.startsWith(message), JSON.stringify(result));
  });
}

const BLOCKS = [
  ["10.0.0.0/8", "10.0.0.0/8"],
  ["192.168.1.7", "192.168.1.7/32"],
  ["fd00::/8", "fd00::/8"],
  ["::1", "::1/128"],
  ["0.0.0.0/0", "0.0.0.0/0"],
] as const;

for (const [text, block] of BLOCKS) {
  test(`${text} is the IP block ${block}`, () => assert.deepEqual(cidrFromText(text), { ok: true, value: block }));
}

for (const text of [
  "",
  "10.0.0.0/33",
  "::/129",
  "10.0.0.0/8/8",
  "10.0.0/8",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "host/8",
  "fe80::1%eth0/64",
]) {
  test(`"${text}" is no IP block`, () => assert.equal(cidrFromText(text).ok, false));
}

test("loopback and wildcard hosts are known in each of their forms, and their look-alikes are not", () => {
  assert.deepEqual(
    ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "LocalHost"].map(isLoopback),
    Array(5).fill(true),
  );
  assert.deepEqual(
    ["127.evil.example", "0.0.0.0", "::", "10.0.0.1", "::ffff:7f00:1"].map(isLoopback),
    Array(5).fill(false),
  );
  assert.deepEqual(["0.0.0.0", "::", "0::0"].map(isWildcard), [true, true, true]);
  assert.deepEqual(["127.0.0.1", "::1", "zero"].map(isWildcard), [false, false, false]);
});
