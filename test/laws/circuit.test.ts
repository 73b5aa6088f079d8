import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  closed,
  CYCLE_MASK,
  halfOpen,
  hasPermit,
  isClosedWord,
  isRecoveringWord,
  MAX_LEVEL,
  nextCircuit,
  open,
  openTimeMs,
  packCircuit,
  unpackCircuit,
  wordCycle,
} from "../../src/policy/circuit.ts";
import type { CircuitEvent, CircuitRules, CircuitState } from "../../src/policy/circuit.ts";

const EVENTS = [
  "trip",
  "due",
  "ask",
  "probe-success",
  "probe-failure",
  "probe-cancelled",
  "failure-late",
  "stuck",
  "back",
  "reset",
  "tripped-by-hand",
] as const satisfies readonly CircuitEvent[];

const RULES: CircuitRules = { halfOpenRequests: 3, halfOpenSuccesses: 3, slowStartMs: 5_000 };
const SAME = "same";

const anyCycle = fc.integer({ min: 0, max: CYCLE_MASK });
const anyLevel = fc.integer({ min: 0, max: MAX_LEVEL });
const anyCount = fc.integer({ min: 0, max: 100 });
const anyState: fc.Arbitrary<CircuitState> = fc.oneof(
  fc.tuple(anyCycle, fc.boolean()).map((of) => closed(...of)),
  fc.tuple(anyCycle, anyLevel).map((of) => open(...of)),
  fc.tuple(anyCycle, anyLevel, anyCount, anyCount).map((of) => halfOpen(...of)),
);
const anyEvent = fc.constantFrom(...EVENTS);
const anyLimit = fc.integer({ min: 1, max: 100 });
const anyRules: fc.Arbitrary<CircuitRules> = fc.record({
  halfOpenRequests: anyLimit,
  halfOpenSuccesses: anyLimit,
  slowStartMs: fc.constantFrom(0, 5_000),
});

/** Every state, and what comes of each event in the order of `EVENTS`. */
const TABLE: readonly (readonly [CircuitState, readonly (CircuitState | typeof SAME)[]])[] = [
  [closed(7, false), [open(8, 0), SAME, SAME, SAME, SAME, SAME, SAME, SAME, SAME, closed(8, false), open(8, 0)]],
  [
    closed(7, true),
    [open(8, 0), SAME, SAME, SAME, SAME, SAME, SAME, SAME, closed(7, false), closed(8, false), open(8, 0)],
  ],
  [open(8, 2), [SAME, halfOpen(9, 2, 0, 0), SAME, SAME, SAME, SAME, SAME, SAME, SAME, closed(9, false), open(9, 2)]],
  [
    halfOpen(9, 2, 1, 1),
    [
      SAME,
      SAME,
      halfOpen(9, 2, 2, 1),
      halfOpen(9, 2, 0, 2),
      open(10, 3),
      halfOpen(9, 2, 0, 1),
      open(10, 3),
      halfOpen(10, 2, 0, 1),
      SAME,
      closed(10, false),
      open(10, 2),
    ],
  ],
  [
    // Two succeeded and one is out: nobody else is needed, and one more success is enough.
    halfOpen(9, 2, 1, 2),
    [
      SAME,
      SAME,
      SAME,
      closed(10, true),
      open(10, 3),
      halfOpen(9, 2, 0, 2),
      open(10, 3),
      halfOpen(10, 2, 0, 2),
      SAME,
      closed(10, false),
      open(10, 2),
    ],
  ],
];

test("every state answers every event as the table says", () => {
  for (const [state, row] of TABLE) {
    for (const [index, event] of EVENTS.entries()) {
      const expected = row[index] === SAME ? state : row[index];
      assert.deepEqual(nextCircuit(state, event, RULES), expected, `${state.kind} + ${event}`);
    }
    assert.equal(row.length, EVENTS.length);
  }
});

test("an event that changes nothing gives the very same state", () => {
  fc.assert(
    fc.property(anyState, anyEvent, anyRules, (state, event, rules) => {
      const next = nextCircuit(state, event, rules);
      if (packCircuit(next) === packCircuit(state)) assert.equal(next, state);
    }),
  );
});

test("nothing but an admitted probe, a late failure of one, or a hand leaves half-open", () => {
  const leaving: readonly CircuitEvent[] = [
    "probe-success",
    "probe-failure",
    "failure-late",
    "reset",
    "tripped-by-hand",
  ];
  fc.assert(
    fc.property(anyState, anyEvent, anyRules, (state, event, rules) => {
      if (state.kind !== "half-open" || leaving.includes(event)) return;
      assert.equal(nextCircuit(state, event, rules).kind, "half-open");
    }),
  );
});

test("only the end of the open time or a hand leaves open, and only a trip or a hand leaves closed", () => {
  fc.assert(
    fc.property(anyState, anyEvent, anyRules, (state, event, rules) => {
      const next = nextCircuit(state, event, rules);
      if (next.kind === state.kind) return;
      if (state.kind === "open") assert.ok(event === "due" || event === "reset");
      if (state.kind === "closed") assert.ok(event === "trip" || event === "tripped-by-hand");
    }),
  );
});

test("the cycle grows by one with every new state, and only then", () => {
  fc.assert(
    fc.property(anyState, anyEvent, anyRules, (state, event, rules) => {
      const next = nextCircuit(state, event, rules);
      const isNew = next.kind !== state.kind || ["reset", "stuck", "tripped-by-hand"].includes(event);
      const grown = (next.cycle - state.cycle) & CYCLE_MASK;
      if (next.kind !== state.kind) assert.equal(grown, 1);
      else assert.ok(grown === 0 || (grown === 1 && isNew));
    }),
  );
});

test("a half-open circuit with no probe out has a permit, whatever the limits became in between", () => {
  fc.assert(
    fc.property(anyCycle, anyCount, anyRules, (cycle, successes, rules) => {
      const state = { kind: "half-open", cycle, level: 0, probes: 0, successes } as const;
      assert.equal(hasPermit(state, rules), true);
    }),
  );
});

test("over any events there are never more probes out than configured, nor more in all than could be needed", () => {
  const events = fc.array(fc.constantFrom("ask", "probe-success", "probe-cancelled" as const), {
    maxLength: 400,
    size: "max",
  });
  fc.assert(
    fc.property(anyRules, events, (rules, sequence) => {
      let state = halfOpen(0, 0, 0, 0);
      for (const event of sequence) {
        if (state.kind !== "half-open") return;
        if (event !== "ask" && state.probes === 0) continue;
        state = nextCircuit(state, event, rules);
        if (state.kind !== "half-open") continue;
        assert.ok(state.probes <= rules.halfOpenRequests);
        assert.ok(state.probes + state.successes <= Math.max(rules.halfOpenRequests, rules.halfOpenSuccesses));
        assert.ok(state.successes < rules.halfOpenSuccesses);
      }
    }),
  );
});

test("the probes that may go are always enough to close it", () => {
  fc.assert(
    fc.property(anyRules, fc.infiniteStream(fc.boolean()), (rules, dice) => {
      let state = halfOpen(0, 3, 0, 0);
      for (let step = 0; step < 400 && state.kind === "half-open"; step++) {
        const wantsAnother = dice.next().value === true && hasPermit(state, rules);
        state = nextCircuit(state, wantsAnother || state.probes === 0 ? "ask" : "probe-success", rules);
      }
      assert.deepEqual(state, closed(1, rules.slowStartMs > 0));
    }),
  );
});

test("a state survives being packed into one word of shared memory", () => {
  const word = new Int32Array(new SharedArrayBuffer(4));
  fc.assert(
    fc.property(anyState, (state) => {
      Atomics.store(word, 0, packCircuit(state));
      const read = Atomics.load(word, 0);
      assert.equal(read, packCircuit(state), "the word is an Int32 as it is");
      assert.deepEqual(unpackCircuit(read), state);
      assert.equal(wordCycle(read), state.cycle);
      assert.equal(isClosedWord(read), state.kind === "closed");
      assert.equal(isRecoveringWord(read), state.kind === "closed" && state.recovering);
    }),
    {
      examples: [
        [halfOpen(CYCLE_MASK, MAX_LEVEL, 100, 100)],
        [open(CYCLE_MASK, MAX_LEVEL)],
        [closed(CYCLE_MASK, true)],
      ],
    },
  );
  assert.deepEqual(unpackCircuit(0), closed(0, false), "memory that nobody touched is a closed circuit");
});

test("no event leads to a state that does not fit into the word", () => {
  fc.assert(
    fc.property(anyState, anyEvent, anyRules, (state, event, rules) => {
      const next = nextCircuit(state, event, rules);
      assert.deepEqual(unpackCircuit(packCircuit(next)), next);
    }),
    {
      examples: [
        [open(CYCLE_MASK, MAX_LEVEL), "due", RULES],
        [halfOpen(CYCLE_MASK, MAX_LEVEL, 1, 0), "probe-failure", RULES],
        [halfOpen(0, 0, 99, 0), "ask", { ...RULES, halfOpenRequests: 100 }],
      ],
    },
  );
});

const anyTimes = fc.record({
  openMs: fc.integer({ min: 10, max: 86_400_000 }),
  maxOpenMs: fc.integer({ min: 10, max: 86_400_000 }),
  jitterPpm: fc.integer({ min: 0, max: 1_000_000 }),
});

test("an open time doubles with each level up to the maximum, and is lengthened by no more than the jitter", () => {
  fc.assert(
    fc.property(anyTimes, fc.string(), anyCycle, anyLevel, (rules, seed, cycle, level) => {
      const base = Math.min(rules.maxOpenMs, rules.openMs * 2 ** level);
      const time = openTimeMs(rules, seed, cycle, level);
      assert.ok(Number.isInteger(time));
      assert.ok(time >= base && time <= Math.ceil(base * (1 + rules.jitterPpm / 1e6)), `${base} became ${time}`);
      assert.equal(openTimeMs(rules, seed, cycle, level), time, "the dice are the same for everyone");
    }),
  );
  const rules = { openMs: 30_000, maxOpenMs: 300_000, jitterPpm: 0 };
  const times = [0, 1, 2, 3, 4, 5].map((level) => openTimeMs(rules, "v2", 1, level));
  assert.deepEqual(times, [30_000, 60_000, 120_000, 240_000, 300_000, 300_000]);
});

test("the dice differ from cycle to cycle and from circuit to circuit, and use the whole range", () => {
  const rules = { openMs: 30_000, maxOpenMs: 300_000, jitterPpm: 100_000 };
  const times = Array.from({ length: 1_000 }, (_, i) => openTimeMs(rules, `v${i % 10} *`, i >> 1, 0));
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  assert.ok(new Set(times).size > 700);
  assert.ok(Math.min(...times) < 30_100 && Math.max(...times) > 32_900);
  assert.ok(Math.abs(mean - 31_500) < 150, `the mean is ${mean}`);
});
