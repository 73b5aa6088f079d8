import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "../../src/base/failure.ts";
import { ScriptedRace } from "../support/scripted-race.ts";

describe("the start of a race", () => {
  test("the first runner starts at once, the second when the delay is over", () => {
    const scene = new ScriptedRace(2, { delayMs: 80 });
    assert.deepEqual([scene.started, scene.waits], [[0], [80]]);
    scene.fireTimer();
    assert.deepEqual([scene.started, scene.timerIsSet], [[0, 1], false]);
  });

  test("without a delay all start at once", () => {
    const scene = new ScriptedRace(3, { delayMs: 0 });
    assert.deepEqual([scene.started, scene.waits], [[0, 1, 2], []]);
  });

  test("each further runner waits for a delay of its own", () => {
    const scene = new ScriptedRace(3);
    scene.fireTimer();
    assert.deepEqual([scene.started, scene.timerIsSet], [[0, 1], true]);
    scene.fireTimer();
    assert.deepEqual([scene.started, scene.timerIsSet], [[0, 1, 2], false]);
  });

  test("a head in time means that the second never starts, whatever it says", () => {
    for (const status of [200, 503]) {
      const scene = new ScriptedRace(2);
      scene.runner(0).head(status);
      assert.deepEqual([scene.started, scene.timerIsSet, scene.winners], [[0], false, [0]]);
      assert.equal(scene.sink.story, `head ${status}`);
    }
  });

  test("when the first fails before the delay is over, the second starts at once", () => {
    const scene = new ScriptedRace(2);
    scene.runner(0).fail("connect-failure");
    assert.deepEqual([scene.started, scene.timerIsSet, scene.sink.heard], [[0, 1], false, []]);
    scene.runner(1).head(200);
    scene.runner(1).finish();
    assert.equal(scene.sink.story, "head 200, end");
  });

  test("a runner that may not start is left out", () => {
    const scene = new ScriptedRace(3, { mayStart: (index) => index !== 1 });
    scene.fireTimer();
    assert.deepEqual([scene.started, scene.timerIsSet], [[0, 2], false]);
  });

  test("when no other may start, the failure of the first is the failure of all", () => {
    const scene = new ScriptedRace(2, { mayStart: () => false });
    scene.runner(0).fail("upstream-reset", true);
    assert.deepEqual(scene.sink.heard, ["failure upstream-reset"]);
    assert.deepEqual(scene.sink.info, { sent: true });
  });
});

describe("the end of a race", () => {
  function bothRunning(): ScriptedRace {
    const scene = new ScriptedRace(2);
    scene.fireTimer();
    return scene;
  }

  test("the first head that is accepted wins, and the other is aborted once, as lost", () => {
    const scene = bothRunning();
    scene.runner(1).head(200);
    assert.deepEqual(scene.winners, [1]);
    assert.deepEqual(scene.runner(0).aborts, ["lost-race"]);
    scene.runner(1).data("abc");
    scene.runner(1).finish();
    assert.equal(scene.sink.story, "head 200, data, end");
    assert.deepEqual([scene.sink.body, scene.sink.trailers], ["abc", ["x-runner", "1"]]);
    assert.deepEqual(scene.runner(1).aborts, []);
  });

  test("the winner is told before the sink hears its head", () => {
    const scene = bothRunning();
    scene.runner(0).head(200);
    assert.deepEqual(scene.heardBeforeWinner, [0]);
  });

  test("a bad answer does not win while the other may still do better", () => {
    const scene = bothRunning();
    scene.runner(0).head(503);
    assert.deepEqual([scene.winners, scene.sink.heard, scene.runner(0).aborts], [[], [], ["lost-race"]]);
    scene.runner(1).head(500);
    assert.deepEqual([scene.winners, scene.sink.story], [[1], "head 500"]);
    assert.deepEqual(scene.runner(0).aborts, ["lost-race"]);
  });

  test("when all fail the sink hears the last failure, once, and whether anything was sent at all", () => {
    const scene = bothRunning();
    scene.runner(1).fail("upstream-reset", true);
    assert.deepEqual(scene.sink.heard, []);
    scene.runner(0).fail("connect-timeout", false);
    assert.deepEqual(scene.sink.heard, ["failure connect-timeout"]);
    assert.deepEqual([scene.sink.failure?.cause, scene.sink.info], [0, { sent: true }]);
  });

  test("a request that was answered badly and then failed elsewhere was sent", () => {
    const scene = bothRunning();
    scene.runner(0).head(503);
    scene.runner(1).fail("connect-failure", false);
    assert.deepEqual([scene.sink.heard, scene.sink.info], [["failure connect-failure"], { sent: true }]);
  });

  test("a winner that breaks off is a failure of the race", () => {
    const scene = bothRunning();
    scene.runner(0).head(200);
    scene.runner(0).data("ab");
    scene.runner(0).fail("truncated-answer", true);
    assert.equal(scene.sink.story, "head 200, data, failure truncated-answer");
  });

  test("interim answers are dropped", () => {
    const scene = bothRunning();
    scene.runner(0).head(103);
    scene.runner(1).head(100);
    assert.deepEqual([scene.sink.heard, scene.winners], [[], []]);
    scene.runner(0).head(200);
    assert.equal(scene.sink.story, "head 200");
  });

  test("an abort ends all that are under way for its own reason, and nothing is heard any more", () => {
    const scene = bothRunning();
    scene.attempt.abort(failure("client-gone"));
    assert.deepEqual([scene.runner(0).aborts, scene.runner(1).aborts], [["client-gone"], ["client-gone"]]);
    scene.attempt.abort(failure("client-gone"));
    assert.deepEqual(scene.runner(0).aborts, ["client-gone"]);
    assert.deepEqual(scene.sink.heard, []);
  });

  test("an abort before the delay is over calls the second off", () => {
    const scene = new ScriptedRace(2);
    scene.attempt.abort(failure("client-gone"));
    assert.deepEqual([scene.started, scene.timerIsSet], [[0], false]);
  });

  test("an abort of an answer reaches the winner alone", () => {
    const scene = bothRunning();
    scene.runner(1).head(200);
    scene.attempt.abort(failure("total-timeout"));
    assert.deepEqual([scene.runner(0).aborts, scene.runner(1).aborts], [["lost-race"], ["total-timeout"]]);
  });

  test("an abort from within the winner's head ends the winner", () => {
    const scene = bothRunning();
    scene.sink.onHead = () => scene.attempt.abort(failure("bad-answer"));
    scene.runner(0).head(200);
    assert.deepEqual([scene.runner(0).aborts, scene.runner(1).aborts], [["bad-answer"], ["lost-race"]]);
  });
});

describe("what goes between the road and the winner", () => {
  test("a resume reaches the winner, and nobody before there is one", () => {
    const scene = new ScriptedRace(2, { delayMs: 0 });
    scene.attempt.resume();
    scene.runner(1).head(200);
    scene.attempt.resume();
    assert.deepEqual([scene.runner(0).resumed, scene.runner(1).resumed], [0, 1]);
  });

  test("a sink that is full pauses the winner", () => {
    const scene = new ScriptedRace(2, { delayMs: 0 });
    scene.runner(0).head(200);
    scene.sink.flowing = false;
    assert.equal(scene.runner(0).data("x"), false);
  });

  test("flushes, drains and unsent bytes are the winner's business only", () => {
    const scene = new ScriptedRace(2, { delayMs: 0 });
    const calls: string[] = [];
    scene.sink.onFlush = () => calls.push("flush");
    scene.sink.whenDrained = () => calls.push("drain");
    scene.sink.unsentBytes = () => 7;
    const [first, second] = [scene.runner(0).sink, scene.runner(1).sink];
    first.onFlush();
    first.onDrain();
    assert.deepEqual([calls, first.unsentBytes()], [[], Infinity]);
    scene.runner(0).head(200);
    for (const sink of [first, second]) {
      sink.onFlush();
      sink.onDrain();
    }
    assert.deepEqual(calls, ["flush", "drain"]);
    assert.deepEqual([first.unsentBytes(), second.unsentBytes()], [7, Infinity]);
  });

  test("there is no body to send, so nothing of one is ever held back", () => {
    const scene = new ScriptedRace(2, { delayMs: 0 });
    assert.equal(scene.attempt.write("x"), true);
    scene.attempt.end(null);
    assert.deepEqual(scene.sink.heard, []);
  });
});
