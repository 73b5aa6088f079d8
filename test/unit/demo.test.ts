import assert from "node:assert/strict";
import { test } from "node:test";
import { sumOfSamples, typedCommand, type CandidateReading } from "../../scripts/demo/admin.ts";
import { candidateText, liveLines, phaseLine, splitBar } from "../../scripts/demo/screen.ts";
import type { Outage } from "../../scripts/demo/outage.ts";
import { judged, ROLLBACK_LIMIT_MS, rollbackText, type Findings } from "../../scripts/demo/story.ts";
import { quantile, Tally, userName, type Answer, type Phase, type Totals } from "../../scripts/demo/tally.ts";
import { bucketOfKey } from "../../src/model/split.ts";

const SALT = "api";
const NOBODY: Phase = { title: "nobody", sharePpm: 0, direction: "raise" };
const EVERYBODY: Phase = { title: "everybody", sharePpm: 1_000_000, direction: "raise" };

function answer(tally: Tally, over: Partial<Answer>): Answer {
  return { user: 0, status: 200, servedBy: "v1", planted: false, latencyMs: 5, turn: tally.turn, ...over };
}

function tallyIn(phase: Phase, users = 10): Tally {
  const tally = new Tally(users, SALT);
  tally.begin(phase, 0);
  return tally;
}

test("a user who goes to v2 has moved, and one who returns while the share rises has moved back", () => {
  const tally = tallyIn(NOBODY);
  tally.record(answer(tally, { servedBy: "v1" }));
  tally.change("raise");
  tally.record(answer(tally, { servedBy: "v2" }));
  tally.record(answer(tally, { servedBy: "v1" }));
  assert.deepEqual([tally.totals.moved, tally.totals.movedBack, tally.usersOnV2], [1, 1, 0]);
});

test("a user who returns while the share is lowered has not moved back", () => {
  const tally = tallyIn(EVERYBODY);
  tally.record(answer(tally, { servedBy: "v2" }));
  tally.change("lower");
  tally.record(answer(tally, { servedBy: "v1" }));
  assert.equal(tally.totals.movedBack, 0);
  tally.begin({ ...NOBODY, direction: "lower" }, 0);
  assert.equal(tally.result(1)?.toV1, 1, "and is counted for the phase that the change led to");
});

test("while v2 is dead nobody moves: v1 is the right arm for all, and v2 again for its own afterwards", () => {
  const tally = tallyIn(EVERYBODY);
  tally.record(answer(tally, { servedBy: "v2" }));
  tally.change("outage");
  tally.record(answer(tally, { servedBy: "v1" }));
  tally.begin({ ...EVERYBODY, direction: "outage" }, 0);
  tally.record(answer(tally, { servedBy: "v1" }));
  assert.deepEqual([tally.usersOnV2, tally.result(1)?.toV1], [0, 1]);
  tally.change("outage");
  tally.record(answer(tally, { servedBy: "v2" }));
  tally.begin(EVERYBODY, 0);
  tally.record(answer(tally, { servedBy: "v2" }));
  const { moved, movedBack, checked, wrongArm } = tally.totals;
  assert.deepEqual({ moved, movedBack, checked, wrongArm }, { moved: 0, movedBack: 0, checked: 3, wrongArm: 0 });
  assert.deepEqual([tally.usersOnV2, tally.result(1)?.toV2], [1, 1]);
});

test("an answer of v2 while it is dead comes from the wrong arm", () => {
  const tally = tallyIn({ ...EVERYBODY, direction: "outage" });
  tally.record(answer(tally, { servedBy: "v2" }));
  assert.equal(tally.totals.wrongArm, 1);
});

test("an answer from the wrong arm is found by the public bucket formula", () => {
  const share = 300_000;
  const users = 50;
  const tally = tallyIn({ title: "30 %", sharePpm: share, direction: "raise" }, users);
  for (let user = 0; user < users; user++) {
    const right = bucketOfKey(SALT, userName(user)) < share ? "v2" : "v1";
    tally.record(answer(tally, { user, servedBy: right }));
  }
  assert.deepEqual([tally.totals.checked, tally.totals.wrongArm], [users, 0]);
  assert.equal(tally.usersOnV2, tally.usersBelow(share));
  tally.record(answer(tally, { user: 0, servedBy: bucketOfKey(SALT, userName(0)) < share ? "v1" : "v2" }));
  assert.equal(tally.totals.wrongArm, 1);
});

test("a request that began before a change is counted, and its arm is not judged", () => {
  const tally = tallyIn(NOBODY);
  const early = answer(tally, { servedBy: "v1" });
  tally.change("raise");
  tally.begin(EVERYBODY, 0);
  tally.record(early);
  assert.deepEqual([tally.totals.answers, tally.totals.checked, tally.result(1)?.v1], [1, 0, 0]);
});

test("planted lies have status 200, and everything else than 200 failed", () => {
  const tally = tallyIn(EVERYBODY);
  tally.record(answer(tally, { servedBy: "v2", planted: true }));
  tally.record(answer(tally, { servedBy: "v2", status: 500 }));
  tally.record(answer(tally, { servedBy: null, status: 0 }));
  assert.deepEqual([tally.totals.planted, tally.totals.failed], [1, 2]);
});

test("a phase is heard out when every user had an answer in it", () => {
  const tally = tallyIn(NOBODY, 2);
  tally.record(answer(tally, { user: 0 }));
  assert.equal(tally.everybodyHeard, false);
  tally.record(answer(tally, { user: 1 }));
  assert.equal(tally.everybodyHeard, true);
  tally.change("raise");
  assert.equal(tally.everybodyHeard, false);
  assert.equal(tally.result(1), null);
});

test("latencies of a phase give its median and its 99th percentile", () => {
  const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.deepEqual([quantile(sorted, 0.5), quantile(sorted, 0.99), quantile([], 0.5)], [51, 100, 0]);
});

test("the bar is empty only at 0 and full only at 100 %", () => {
  assert.equal(splitBar(0, 4), "░░░░");
  assert.equal(splitBar(1, 4), "█░░░");
  assert.equal(splitBar(500_000, 4), "██░░");
  assert.equal(splitBar(999_999, 4), "███░");
  assert.equal(splitBar(1_000_000, 4), "████");
});

const OPEN: CandidateReading = {
  health: "unhealthy",
  healthSinceMs: 2,
  healthReason: "refused",
  circuit: "open",
  circuitSinceMs: 1,
  opened: 1,
  busy: 0,
  fallbacks: 4,
  generation: 4,
};

test("v2 is shown as the sidecar sees it", () => {
  assert.match(candidateText(OPEN), /^unhealthy +circuit open +fallbacks 4$/);
});

test("failed tries are the sum of the samples of one upstream, whatever their kind", () => {
  const page = [
    'tries{upstream="v1",kind="a"} 1',
    'tries{upstream="v2",kind="a"} 2',
    'tries{upstream="v2",kind="b"} 3',
    "",
  ];
  assert.equal(sumOfSamples(page.join("\n"), 'tries{upstream="v2",'), 5);
});

test("the moving block and the line of a phase show the same counts", () => {
  const tally = tallyIn({ title: "half", sharePpm: 500_000, direction: "raise" });
  for (let user = 0; user < 10; user++) tally.record(answer(tally, { user, servedBy: user < 5 ? "v1" : "v2" }));
  const phase = tally.result(2_000);
  assert.ok(phase);
  const { totals, usersOnV2 } = tally;
  const shared = { title: "half", sharePpm: 500_000, note: "2 s", users: 10, perSecond: 5 };
  assert.match(
    liveLines({ ...shared, usersOnV2, totals, phase, candidate: OPEN }).join("\n"),
    /half +2 s\n.*50 % of the callers\n.*v1 +5 +v2 +5 .*\n.*v1 +5 +v2 +5 +failed 0\n  v2 is +unhealthy   circuit open /,
  );
  assert.match(phaseLine(phase), /^ 50 % █████░░░░░ {4}5 users on v2 .* v1 +5 {2}v2 +5 {2}5\/s {2}p50 5.0 ms/);
});

const GOOD_TOTALS: Totals = {
  answers: 100,
  v1: 50,
  v2: 50,
  failed: 0,
  planted: 5,
  moved: 10,
  movedBack: 0,
  checked: 90,
  wrongArm: 0,
};
const OUTAGE: Outage = {
  deadMs: 3_000,
  answers: 50,
  failed: 0,
  fallbacks: 4,
  whileOpen: { asked: 0, ms: 5_000 },
  usersBefore: 9,
  usersBack: 9,
  backMs: 2_000,
  changes: 0,
};
const GOOD: Findings = {
  outage: OUTAGE,
  rollbackMs: 3,
  plantedAfterRollback: 0,
  beforeKill: 7,
  duringKill: 0,
  afterKill: 7,
};

test("a good run keeps every promise", () => {
  assert.ok(judged(GOOD_TOTALS, GOOD).every(({ kept }) => kept));
});

const BROKEN: readonly (readonly [string, Partial<Totals>, Partial<Findings>])[] = [
  ["a failed request", { failed: 1 }, {}],
  ["a user who moved back", { movedBack: 1 }, {}],
  ["an answer from the wrong arm", { wrongArm: 1 }, {}],
  ["a request that failed while v2 was dead", {}, { outage: { ...OUTAGE, failed: 1 } }],
  ["a request to v2 behind an open circuit", {}, { outage: { ...OUTAGE, whileOpen: { asked: 1, ms: 5_000 } } }],
  ["a user who did not come back to v2 when it was up", {}, { outage: { ...OUTAGE, usersBack: 8 } }],
  ["a way back that somebody had to help with", {}, { outage: { ...OUTAGE, changes: 1 } }],
  ["a rollback that took long", {}, { rollbackMs: ROLLBACK_LIMIT_MS + 1 }],
  ["a lie after the rollback", {}, { plantedAfterRollback: 1 }],
  ["a user who stayed on v2 through a kill", {}, { duringKill: 1 }],
  ["a user who did not come back after it", {}, { afterKill: 6 }],
];
for (const [what, totals, findings] of BROKEN) {
  test(`${what} breaks exactly one promise`, () => {
    const verdict = judged({ ...GOOD_TOTALS, ...totals }, { ...GOOD, ...findings });
    assert.equal(verdict.filter(({ kept }) => !kept).length, 1);
  });
}

test("a rollback is said to be before or after the last request to v2", () => {
  assert.match(rollbackText(-2.25), /2\.3 ms before the rollback, and none after/);
  assert.match(rollbackText(0.4), /0\.4 ms after the rollback/);
});

test("a command is shown as it would be typed, with the admin address where it is not the usual one", () => {
  assert.equal(typedCommand("http://127.0.0.1:9901", ["split", "api", "25%"]), "npx crossfade ctl split api 25%");
  assert.equal(
    typedCommand("http://127.0.0.1:40000", ["kill", "--reason", "two words"]),
    "npx crossfade ctl --admin http://127.0.0.1:40000 kill --reason 'two words'",
  );
});
