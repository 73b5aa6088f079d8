import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { referencedFiles } from "../../src/config/compile.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { checkCertificates } from "../../src/control/cert-files.ts";
import { hashOfFiles, MAX_CONFIG_FILE_BYTES, readConfig, resolveBeside } from "../../src/control/config-reading.ts";
import type { ConfigReading, ReadOptions } from "../../src/control/config-reading.ts";
import { problemText } from "../../src/control/problem-text.ts";
import { configText, readingOf, useFolder } from "../support/control-plane.ts";
import { selfSigned } from "../support/self-signed.ts";

const TEXT = configText([{ name: "api" }]);

function read(file: string, over: Partial<ReadOptions> = {}): Promise<ConfigReading> {
  return readConfig({
    path: file,
    parse: (text) => parseConfig(text, { format: "auto", env: {} }),
    referencedFiles,
    checkFiles: checkCertificates,
    settleMs: 1,
    ...over,
  });
}

async function problemsOf(reading: Promise<ConfigReading>): Promise<readonly string[]> {
  const result = await reading;
  assert.ok(!result.ok);
  return result.problems.map(problemText);
}

const pairs = { one: selfSigned("one"), two: selfSigned("two") };

function pem(name: string): string {
  const [pair, part] = name.split(".") as ["one" | "two", string];
  return part === "crt" ? pairs[pair].cert : pairs[pair].key;
}

function tlsText(cert: string, key: string, clientCa?: string): string {
  const tls = { cert, key, ...(clientCa !== undefined && { clientCa }) };
  return configText([{ name: "api" }], { listen: [{ address: "127.0.0.1:0", tls }] });
}

test("a config is read with its text, hash and paths", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, TEXT);
  const reading = await read(file);
  assert.ok(reading.ok);
  assert.equal(reading.text, TEXT);
  assert.deepEqual(reading.paths, [file]);
  assert.equal(reading.hash, await hashOfFiles(reading.paths));
  assert.equal(reading.config.routes[0]?.name, "api");
});

test("files that the config names are read from beside it and are part of the hash", async (t) => {
  const folder = useFolder(t);
  const file = path.join(folder, "config.json");
  fs.mkdirSync(path.join(folder, "tls"));
  for (const name of ["one.crt", "one.key"]) fs.writeFileSync(path.join(folder, "tls", name), pem(name));
  fs.writeFileSync(file, tlsText("tls/one.crt", "tls/one.key"));
  const first = await read(file);
  assert.ok(first.ok);
  assert.deepEqual([...first.files.keys()], ["tls/one.crt", "tls/one.key"]);
  assert.deepEqual(first.paths.slice(1), [path.join(folder, "tls/one.crt"), path.join(folder, "tls/one.key")]);
  fs.appendFileSync(path.join(folder, "tls/one.crt"), "\n");
  const second = await read(file);
  assert.ok(second.ok);
  assert.notEqual(second.hash, first.hash);
});

test("paths in a config count from its folder unless they are absolute", () => {
  assert.equal(resolveBeside("/etc/crossfade/config.yaml", "tls/a.crt"), "/etc/crossfade/tls/a.crt");
  assert.equal(resolveBeside("/etc/crossfade/config.yaml", "/run/a.crt"), "/run/a.crt");
});

test("a config file that is missing is a problem with its name", async (t) => {
  const file = path.join(useFolder(t), "config.yaml");
  assert.deepEqual(await problemsOf(read(file)), [`config: "${file}" does not exist`]);
});

test("a config file that cannot be read is a problem with the reason", async (t) => {
  const folder = useFolder(t);
  const [problem] = await problemsOf(read(folder));
  assert.match(problem ?? "", /cannot be read: EISDIR/);
});

for (const [what, text] of [
  ["empty", ""],
  ["blank", " \n\t\n"],
] as const) {
  test(`a ${what} file is refused, not taken for an empty config`, async (t) => {
    const file = path.join(useFolder(t), "config.yaml");
    fs.writeFileSync(file, text);
    const [problem] = await problemsOf(read(file));
    assert.match(problem ?? "", /is empty; an empty file is not taken for a config/);
  });
}

test("a file of comments alone is refused", async (t) => {
  const file = path.join(useFolder(t), "config.yaml");
  fs.writeFileSync(file, "# nothing\n");
  assert.equal((await read(file)).ok, false);
});

test("a file that is not UTF-8 is refused", async (t) => {
  const file = path.join(useFolder(t), "config.yaml");
  fs.writeFileSync(file, Buffer.from([0x7b, 0xff, 0xfe]));
  assert.match((await problemsOf(read(file)))[0] ?? "", /is not UTF-8 text/);
});

test("a file that is far too large is refused without being read", async (t) => {
  const file = path.join(useFolder(t), "config.yaml");
  fs.writeFileSync(file, "");
  fs.truncateSync(file, MAX_CONFIG_FILE_BYTES + 1);
  assert.match((await problemsOf(read(file)))[0] ?? "", /has 16777217 bytes; at most 16777216 are read/);
});

test("every problem of a text comes back, and half of a text is one", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, TEXT.slice(0, TEXT.length / 2));
  assert.ok((await problemsOf(read(file))).length > 0);
  fs.writeFileSync(file, TEXT.replace('"10%"', '"120%"'));
  assert.match((await problemsOf(read(file))).join("\n"), /routes\[0\]\.split\.share: "120%" is above 100%/);
});

test("a file that the config names and that is missing is a problem", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, tlsText("no.crt", "no.key"));
  assert.deepEqual(await problemsOf(read(file)), [
    'config: "no.crt" does not exist',
    'config: "no.key" does not exist',
  ]);
});

test("a file that changes between two looks is looked at again until it holds still", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, configText([{ name: "first" }]));
  let looks = 0;
  const reading = await read(file, {
    parse: (text) => {
      if (++looks < 4) fs.writeFileSync(file, looks < 3 ? TEXT.slice(0, 50 + looks) : TEXT);
      return parseConfig(text, { format: "auto", env: {} });
    },
  });
  assert.ok(reading.ok);
  assert.equal(reading.text, TEXT);
});

test("a text that did not change is parsed once", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  fs.writeFileSync(file, TEXT);
  const parse = t.mock.fn((text: string) => parseConfig(text, { format: "auto", env: {} }));
  await read(file, { parse });
  assert.equal(parse.mock.callCount(), 1);
});

test("a file that never holds still is given up with a problem", async (t) => {
  const file = path.join(useFolder(t), "config.json");
  let looks = 0;
  const touch = (): void => fs.writeFileSync(file, `${TEXT}${" ".repeat(looks++)}`);
  touch();
  const reading = await read(file, {
    settleMs: 0,
    parse: (text) => {
      touch();
      return parseConfig(text, { format: "auto", env: {} });
    },
  });
  assert.ok(!reading.ok);
  assert.equal(reading.hash, null);
  assert.match(reading.problems.map(problemText).join(), /kept changing while it was read/);
});

function checked(text: string, files: Readonly<Record<string, string>>): readonly string[] {
  const map = new Map(Object.entries(files));
  return checkCertificates(readingOf(text).config, map).map(problemText);
}

test("a certificate with its own key is fine, with a chain and an authority too", () => {
  assert.deepEqual(checked(tlsText("c", "k"), { c: pem("one.crt"), k: pem("one.key") }), []);
  const files = { c: pem("one.crt") + pem("two.crt"), k: pem("one.key"), a: pem("one.crt") + pem("two.crt") };
  assert.deepEqual(checked(tlsText("c", "k", "a"), files), []);
});

test("a key that is not the certificate's is a problem", () => {
  const [problem, ...more] = checked(tlsText("c", "k"), { c: pem("one.crt"), k: pem("two.key") });
  assert.deepEqual(more, []);
  assert.match(problem ?? "", /^listen\[0\]\.tls: "k" is not the key of "c" \(.*mismatch/);
});

test("what is no certificate, no authority or no key is a problem of its own file", () => {
  const good = { c: pem("one.crt"), k: pem("one.key"), a: pem("two.crt") };
  const text = tlsText("c", "k", "a");
  assert.match(
    checked(text, { ...good, c: "" }).join(),
    /listen\[0\]\.tls: "c" is not a PEM certificate \(no certificate/,
  );
  assert.match(checked(text, { ...good, a: "junk" }).join(), /"a" is not a PEM certificate/);
  const broken = good.a.replace(/\n.{20}/, "\n$$$$");
  assert.match(checked(text, { ...good, a: broken }).join(), /"a" is not a PEM certificate/);
  assert.match(checked(text, { ...good, k: "junk" }).join(), /"k" is not the key of "c"/);
});

test("the files of an upstream are checked as well", () => {
  const upstreams = { v1: { endpoints: ["https://127.0.0.1:1"], tls: { ca: "a", cert: "c", key: "k" } } };
  const text = configText([{ name: "api", candidate: null }], { upstreams });
  assert.deepEqual(checked(text, { a: pem("two.crt"), c: pem("one.crt"), k: pem("one.key") }), []);
  const problems = checked(text, { a: pem("two.crt"), c: pem("one.crt"), k: pem("two.key") });
  assert.match(problems.join(), /upstreams\.v1\.tls: "k" is not the key of "c"/);
});
