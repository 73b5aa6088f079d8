import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { failure } from "../../src/base/failure.ts";
import { ScriptedRace, type ScriptedRunner } from "../support/scripted-race.ts";

type Step =
  | { readonly kind: "head"; readonly who: number; readonly status: number }
  | { readonly kind: "data"; readonly who: number }
  | { readonly kind: "finish"; readonly who: number }
  | { readonly kind: "fail"; readonly who: number; readonly sent: boolean }
  | { readonly kind: "timer" }
  | { readonly kind: "resume" };

const anyWho = fc.integer({ min: 0, max: 3 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("head" as const), who: anyWho, status: fc.constantFrom(103, 200, 404, 500, 503) }),
  fc.record({ kind: fc.constant("data" as const), who: anyWho }),
  fc.record({ kind: fc.constant("finish" as const), who: anyWho }),
  fc.record({ kind: fc.constant("fail" as const), who: anyWho, sent: fc.boolean() }),
  fc.constant({ kind: "timer" as const }),
  fc.constant({ kind: "resume" as const }),
);

const anyScript = fc.record({
  count: fc.integer({ min: 1, max: 4 }),
  delayMs: fc.constantFrom(0, 50),
  barred: fc.subarray([1, 2, 3]),
  steps: fc.array(anyStep, { maxLength: 40 }),
  /** After this many steps the road gives up; null = it does not. */
  abortAfter: fc.option(fc.integer({ min: 0, max: 40 }), { freq: 3 }),
});

type Script = typeof anyScript extends fc.Arbitrary<infer T> ? T : never;

function play(scene: ScriptedRace, step: Step): void {
  if (step.kind === "timer") scene.fireTimer();
  else if (step.kind === "resume") scene.attempt.resume();
  else {
    const runner = scene.runners.find(({ index }) => index === step.who);
    if (runner !== undefined) act(runner, step);
  }
}

function act(runner: ScriptedRunner, step: Exclude<Step, { kind: "timer" | "resume" }>): void {
  switch (step.kind) {
    case "head":
      runner.head(step.status);
      return;
    case "data":
      runner.data(`${runner.index}`);
      return;
    case "finish":
      runner.finish();
      return;
    case "fail":
      runner.fail("upstream-reset", step.sent);
  }
}

/** Plays a script, and then lets everything that is left come to its end. */
function run(
  { count, delayMs, barred, steps, abortAfter }: Script,
  after: (scene: ScriptedRace) => void,
): ScriptedRace {
  const scene = new ScriptedRace(count, { delayMs, mayStart: (index) => !barred.includes(index) });
  assert.deepEqual(scene.sink.heard, [], "nothing is heard before the race has been returned");
  for (const [index, step] of steps.entries()) {
    if (index === abortAfter) scene.attempt.abort(failure("client-gone"));
    play(scene, step);
    after(scene);
  }
  for (let i = 0; i < 2 * count; i++) {
    scene.fireTimer();
    for (const runner of scene.runners) {
      runner.finish();
      runner.fail("connect-timeout");
    }
    after(scene);
  }
  return scene;
}

function endsOf({ sink }: ScriptedRace): string[] {
  return sink.heard.filter((what) => what === "end" || what.startsWith("failure"));
}

function wasAborted({ steps, abortAfter }: Script): boolean {
  return abortAfter !== null && abortAfter < steps.length;
}

test("the sink hears one head at most, then data, then exactly one end or failure, unless the road gave up", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const scene = run(script, () => {});
      const ends = endsOf(scene);
      if (wasAborted(script)) assert.ok(ends.length <= 1);
      else assert.equal(ends.length, 1);
      if (ends.length === 1) assert.equal(scene.sink.heard.at(-1), ends[0]);
      assert.match(scene.sink.story, /^(?:head \d+(?:, data)?(?:, end|, failure [a-z-]+)?|failure [a-z-]+|)$/);
    }),
    { numRuns: 2_000 },
  );
});

test("after an abort nothing is heard, nobody starts, and no timer is left", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      let heard = -1;
      let started = -1;
      run(script, (scene) => {
        if (heard >= 0) assert.deepEqual([scene.sink.heard.length, scene.runners.length], [heard, started]);
        else if (scene.runners.some(({ aborts }) => aborts.includes("client-gone"))) {
          heard = scene.sink.heard.length;
          started = scene.runners.length;
          assert.equal(scene.timerIsSet, false);
        }
      });
    }),
    { numRuns: 1_000 },
  );
});

test("there is one winner exactly when the sink hears a head, it is told right before, and all data is its own", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const { sink, winners, heardBeforeWinner } = run(script, () => {});
      assert.equal(winners.length, sink.heads.length);
      if (winners.length === 0) return;
      assert.deepEqual(heardBeforeWinner, [0], "the head is the first thing that the sink hears");
      assert.deepEqual(sink.heads[0]?.headers, ["x-runner", String(winners[0])]);
      assert.match(sink.body, new RegExp(`^${winners[0]}*$`));
      if (sink.trailers !== null) assert.deepEqual(sink.trailers, ["x-runner", String(winners[0])]);
    }),
    { numRuns: 1_000 },
  );
});

test("every runner that started ends by itself or is aborted exactly once; the winner only when the road gives up", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const scene = run(script, () => {});
      for (const { index, aborts, over } of scene.runners) {
        assert.equal(aborts.length + (over ? 1 : 0), 1, `runner ${index}: ${aborts.join(", ")}`);
        const [why = null] = aborts;
        if (scene.winners.includes(index)) assert.notEqual(why, "lost-race");
        if (!wasAborted(script)) assert.notEqual(why, "client-gone");
      }
    }),
    { numRuns: 2_000 },
  );
});

test("the winner is the first whose final head is accepted, or came when it was alone under way", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const { count, delayMs, barred, steps } = script;
      const scene = new ScriptedRace(count, { delayMs, mayStart: (index) => !barred.includes(index) });
      for (const step of steps) {
        const underWay = scene.runners.filter(({ alive }) => alive);
        const decided = scene.winners.length > 0;
        play(scene, step);
        if (decided || step.kind !== "head" || step.status < 200) continue;
        const runner = underWay.find(({ index }) => index === step.who);
        if (runner === undefined) continue;
        const wins = step.status < 500 || underWay.length === 1;
        assert.deepEqual(scene.winners, wins ? [step.who] : []);
        assert.deepEqual(runner.aborts, wins ? [] : ["lost-race"]);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("runners start in their order, none twice, none that is barred, and none once the race is decided", () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      let decidedWith = -1;
      const scene = run(script, ({ winners, sink, runners, timerIsSet }) => {
        if (decidedWith >= 0) assert.equal(runners.length, decidedWith);
        if (winners.length === 0 && sink.heard.length === 0) return;
        decidedWith = runners.length;
        assert.equal(timerIsSet, false);
      });
      const { started } = scene;
      assert.deepEqual(
        started,
        started.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(started).size, started.length);
      assert.ok(!started.some((index) => script.barred.includes(index)));
    }),
    { numRuns: 1_000 },
  );
});

test("a race that only failed tried everybody who may start, and says whether any of them sent something", () => {
  fc.assert(
    fc.property(
      anyScript,
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      ({ count, delayMs, barred }, sent) => {
        const scene = new ScriptedRace(count, { delayMs, mayStart: (index) => !barred.includes(index) });
        for (let i = 0; i < scene.runners.length; i++) scene.runners[i]?.fail("upstream-reset", sent[i]);
        const expected = [0, 1, 2, 3].filter((index) => index < count && !barred.includes(index));
        assert.deepEqual(scene.started, expected);
        assert.deepEqual(scene.sink.heard, ["failure upstream-reset"]);
        assert.equal(scene.sink.failure?.cause, expected.at(-1));
        assert.deepEqual(scene.sink.info, { sent: sent.slice(0, expected.length).includes(true) });
      },
    ),
  );
});
