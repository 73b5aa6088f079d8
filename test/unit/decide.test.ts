import assert from "node:assert/strict";
import { test } from "node:test";
import { packControlWord } from "../../src/base/cells.ts";
import { decide, shareInForce } from "../../src/model/decide.ts";
import type { SplitSpec } from "../../src/model/snapshot.ts";
import { bucketOfKey } from "../../src/model/split.ts";
import { headOf } from "../support/heads.ts";

const SPLIT: SplitSpec = {
  baseline: "v1",
  candidate: "v2",
  candidatePpm: 100_000,
  killed: false,
  sticky: [
    { kind: "header", name: "x-user-id" },
    { kind: "cookie", name: "session" },
    { kind: "query", name: "user" },
    { kind: "client-ip" },
  ],
  onMissingKey: { kind: "random" },
  salt: "api",
  overrides: [],
};

interface Call {
  readonly split?: Partial<SplitSpec>;
  readonly headers?: readonly string[];
  readonly cookie?: string | null;
  readonly query?: string;
  readonly clientIp?: string;
  readonly ppm?: number;
  readonly killed?: boolean;
  readonly random?: number;
}

function decided(call: Call): ReturnType<typeof decide> {
  const { headers = [], cookie = null, query = "", clientIp = "" } = call;
  const head = headOf({ headers: ["host", "a", ...headers] });
  const share = { candidatePpm: call.ppm ?? 100_000, killed: call.killed ?? false };
  return decide(
    { ...SPLIT, ...call.split },
    share,
    { head, cookie, query, clientIp },
    () => call.random ?? 0.5,
    () => "minted",
  );
}

test("the first source that is present gives the key", () => {
  assert.equal(decided({ headers: ["X-User-Id", "u1"], cookie: "session=s", query: "user=q" }).key, "u1");
  assert.equal(decided({ headers: ["x-user-id", ""], cookie: 'a=b; session="s"', query: "user=q" }).key, "s");
  assert.equal(decided({ query: "x=1&user=q%20r+s" }).key, "q r s");
  assert.equal(decided({ query: "user=%zz", clientIp: "10.0.0.1" }).key, "%zz");
  assert.equal(decided({ clientIp: "10.0.0.1" }).key, "10.0.0.1");
});

test("a key's bucket decides, below the share goes to the candidate", () => {
  const bucket = bucketOfKey("api", "u1");
  assert.deepEqual(decided({ headers: ["x-user-id", "u1"], ppm: bucket }).arm, "baseline");
  assert.deepEqual(decided({ headers: ["x-user-id", "u1"], ppm: bucket + 1 }).arm, "candidate");
});

test("overrides come first, in their order; a kill beats them", () => {
  const overrides: SplitSpec["overrides"] = [
    { when: { kind: "header", name: "x-crossfade-force", value: "v2" }, to: "candidate" },
    { when: { kind: "cookie", name: "force", value: "v1" }, to: "baseline" },
    {
      when: { kind: "segment", name: "beta", keys: ["u7"], headers: { "x-group": ["beta", "staff"] } },
      to: "candidate",
    },
  ];
  const split = { overrides };
  assert.equal(decided({ split, headers: ["x-crossfade-force", "v2"], ppm: 0 }).reason, "override");
  assert.equal(decided({ split, headers: ["x-crossfade-force", "v3", "x-user-id", "u"], ppm: 0 }).reason, "bucket");
  assert.equal(decided({ split, cookie: "force=v1", ppm: 1_000_000 }).arm, "baseline");
  assert.deepEqual(
    [decided({ split, headers: ["x-user-id", "u7"], ppm: 0 })].map(({ arm, reason }) => [arm, reason]),
    [["candidate", "segment"]],
  );
  assert.equal(decided({ split, headers: ["X-Group", "staff"], ppm: 0 }).arm, "candidate");
  const killed = decided({ split, headers: ["x-crossfade-force", "v2"], killed: true });
  assert.deepEqual([killed.arm, killed.reason], ["baseline", "killed"]);
});

test("names in UTF-8 mean the same in a field, in a query and in the config", () => {
  const latin1 = Buffer.from("zoë", "utf8").toString("latin1");
  const overrides: SplitSpec["overrides"] = [
    { when: { kind: "header", name: "x-who", value: "zoë" }, to: "candidate" },
  ];
  assert.equal(decided({ split: { overrides }, headers: ["x-who", latin1], ppm: 0 }).reason, "override");
  assert.equal(decided({ headers: ["x-user-id", latin1] }).bucket, decided({ query: "user=zo%C3%AB" }).bucket);
  assert.equal(decided({ cookie: `session=${latin1}` }).key, "zoë");
  assert.equal(decided({ headers: ["x-user-id", "\xff"] }).key, "\xff", "bytes that are no UTF-8 stay bytes");
});

test("a caller without a key goes by the rule of the route", () => {
  const none = { sticky: [] };
  assert.equal(decided({ split: none, random: 0.0999 }).arm, "candidate");
  assert.equal(decided({ split: none, random: 0.1 }).arm, "baseline");
  assert.equal(decided({ split: { ...none, onMissingKey: { kind: "baseline" } }, ppm: 1_000_000 }).arm, "baseline");
  const minting: Partial<SplitSpec> = { sticky: [], onMissingKey: { kind: "set-cookie", name: "cf", maxAgeMs: 1000 } };
  const minted = decided({ split: minting });
  assert.deepEqual(
    [minted.mintedKey, minted.reason, minted.bucket],
    ["minted", "minted", bucketOfKey("api", "minted")],
  );
  const back = decided({ split: minting, cookie: "cf=minted" });
  assert.deepEqual([back.mintedKey, back.reason, back.bucket], [null, "bucket", minted.bucket]);
});

test("a route without a candidate needs no key", () => {
  assert.equal(decided({ split: { candidate: null } }).reason, "no-candidate");
  assert.equal(decided({ split: { candidate: null, sticky: [] }, headers: ["x-user-id", "u1"] }).key, null);
});

test("a route without a candidate still knows its callers by their keys", () => {
  assert.equal(decided({ split: { candidate: null }, headers: ["x-user-id", "u1"] }).key, "u1");
});

test("the control word's share holds while epochs agree; across a reload only a stop counts at once", () => {
  const word = (candidatePpm: number, killed: boolean): number => packControlWord({ candidatePpm, killed, epoch: 7 });
  assert.deepEqual(shareInForce(word(250_000, false), 7, 100_000, false), { candidatePpm: 250_000, killed: false });
  assert.deepEqual(shareInForce(word(250_000, false), 8, 100_000, false), { candidatePpm: 100_000, killed: false });
  assert.deepEqual(shareInForce(word(0, false), 8, 100_000, false), { candidatePpm: 0, killed: false });
  assert.deepEqual(shareInForce(word(250_000, true), 8, 100_000, false), { candidatePpm: 100_000, killed: true });
});
