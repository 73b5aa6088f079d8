import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { OutlierDetectionSpec } from "../../src/model/snapshot.ts";
import { compareEndpoints, ejectionTimeMs } from "../../src/policy/outliers.ts";
import type { EndpointEvidence, EndpointPlace } from "../../src/policy/outliers.ts";

const RULES: OutlierDetectionSpec = {
  intervalMs: 10_000,
  minRequests: 20,
  errorPpm: 200_000,
  deviationsMilli: 1_900,
  ejectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectedPpm: 500_000,
};

function asked(requests: number, failures: number, place: EndpointPlace = "in"): EndpointEvidence {
  return { place, requests, failures };
}

const anyRules = fc.record({
  intervalMs: fc.constant(10_000),
  minRequests: fc.integer({ min: 1, max: 200 }),
  errorPpm: fc.integer({ min: 0, max: 1_000_000 }),
  deviationsMilli: fc.integer({ min: 0, max: 5_000 }),
  ejectionMs: fc.integer({ min: 1, max: 60_000 }),
  maxEjectionMs: fc.integer({ min: 1, max: 600_000 }),
  maxEjectedPpm: fc.integer({ min: 0, max: 1_000_000 }),
});

const anyPlace = fc.constantFrom<EndpointPlace>("in", "in", "in", "returning", "out", "unwell");

const anyEvidence = fc
  .tuple(anyPlace, fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 1_000_000 }))
  .map(([place, requests, ppm]) => asked(requests, Math.round((requests * ppm) / 1_000_000), place));

const anyEndpoints = fc.array(anyEvidence, { minLength: 1, maxLength: 12 });

test("endpoints that do equally well, or equally badly, are never ejected", () => {
  const endpoints = fc.tuple(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 1_000 }),
    fc.integer({ min: 0 }),
  );
  fc.assert(
    fc.property(endpoints, anyRules, ([count, requests, failures], rules) => {
      const same = Array.from({ length: count }, () => asked(requests, failures % (requests + 1)));
      assert.deepEqual(compareEndpoints(same, rules).eject, []);
    }),
  );
});

test("endpoints that are all bad together stay, though none is as bad as another", () => {
  const bad = fc.integer({ min: 500_000, max: 990_000 });
  fc.assert(
    fc.property(fc.array(bad, { minLength: 2, maxLength: 10 }), (shares) => {
      const endpoints = shares.map((ppm) => asked(1_000, Math.round(ppm / 1_000)));
      assert.deepEqual(compareEndpoints(endpoints, RULES).eject, []);
    }),
  );
});

test("one bad endpoint among good ones is ejected, from two endpoints on", () => {
  const good = fc.array(fc.integer({ min: 0, max: 10 }), { minLength: 1, maxLength: 11 });
  fc.assert(
    fc.property(good, fc.integer({ min: 300, max: 1_000 }), fc.nat(), (others, failures, at) => {
      const endpoints = others.map((failed) => asked(1_000, failed));
      const index = at % (endpoints.length + 1);
      endpoints.splice(index, 0, asked(1_000, failures));
      assert.deepEqual(compareEndpoints(endpoints, RULES).eject, [index]);
    }),
  );
});

test("a second bad endpoint does not hide the first", () => {
  const { eject } = compareEndpoints([asked(100, 100), asked(100, 0), asked(100, 90), asked(100, 1)], RULES);
  assert.deepEqual(eject, [0, 2]);
});

test("where most are bad nobody is ejected", () => {
  const endpoints = [asked(100, 100), asked(100, 100), asked(100, 0), asked(100, 95)];
  assert.deepEqual(compareEndpoints(endpoints, RULES).eject, []);
});

test("of two that both fail, one that fails far more is ejected", () => {
  assert.deepEqual(compareEndpoints([asked(100, 25), asked(100, 95)], RULES).eject, [1]);
});

test("never more endpoints are out than the limit allows, and one that is asked always stays", () => {
  fc.assert(
    fc.property(anyEndpoints, anyRules, (endpoints, rules) => {
      const { eject } = compareEndpoints(endpoints, rules);
      const before = endpoints.filter(({ place }) => place === "out").length;
      const most = Math.floor((endpoints.length * rules.maxEjectedPpm) / 1_000_000);
      assert.ok(eject.length === 0 || before + eject.length <= most);
      const stay = endpoints.filter(
        ({ place }, index) => !eject.includes(index) && ["in", "returning"].includes(place),
      );
      assert.ok(eject.length === 0 || stay.length > 0);
    }),
  );
});

test("only endpoints that are in, had enough requests and fail enough of them are ejected, worst first", () => {
  fc.assert(
    fc.property(anyEndpoints, anyRules, (endpoints, rules) => {
      const { eject, fine } = compareEndpoints(endpoints, rules);
      const shares = eject.map((index) => {
        const { place, requests, failures } = endpoints[index] as EndpointEvidence;
        assert.equal(place, "in");
        assert.ok(requests >= rules.minRequests && failures > 0 && (failures / requests) * 1_000_000 >= rules.errorPpm);
        return failures / requests;
      });
      assert.deepEqual(
        shares,
        shares.toSorted((a, b) => b - a),
      );
      assert.equal(new Set([...eject, ...fine]).size, eject.length + fine.length, "nobody is both");
    }),
  );
});

test("who fails more is not spared where who fails less is ejected", () => {
  const better = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      better,
      fc.integer({ min: 0, max: 900 }),
      fc.integer({ min: 1, max: 100 }),
      (others, failures, more) => {
        const among = (failed: number): readonly number[] =>
          compareEndpoints([asked(1_000, failed), ...others.map((other) => asked(1_000, other))], RULES).eject;
        if (among(failures).includes(0)) assert.ok(among(failures + more).includes(0));
      },
    ),
  );
});

for (const [requests, most] of [
  [20, 0.1],
  [100, 0.01],
] as const) {
  test(`chance alone ejects in few comparisons of endpoints that are alike: of ${requests} requests each, ${most}`, () => {
    const random = mulberry32(1);
    const comparisons = 4_000;
    let wrong = 0;
    for (let i = 0; i < comparisons; i++) {
      const truth = random() * 0.5;
      const failuresOf = (): number => Array.from({ length: requests }, random).filter((dice) => dice < truth).length;
      const endpoints = Array.from({ length: 2 + (i % 5) }, () => asked(requests, failuresOf()));
      if (compareEndpoints(endpoints, RULES).eject.length > 0) wrong++;
    }
    assert.ok(wrong / comparisons < most, `${wrong} of ${comparisons}`);
  });
}

test("ejections in a row last longer each, up to the limit", () => {
  const times = [1, 2, 3, 9, 10, 11, 1_000].map((inARow) => ejectionTimeMs(inARow, RULES));
  assert.deepEqual(times, [30_000, 60_000, 90_000, 270_000, 300_000, 300_000, 300_000]);
});

/** A small generator with a seed, so that a failure can be seen again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
