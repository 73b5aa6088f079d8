import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { EventHub } from "../../src/admin/event-hub.ts";
import type { StateEvent } from "../../src/base/state-event.ts";
import { begin, openAdminBench, TOKEN } from "../support/admin-bench.ts";
import type { AdminBench } from "../support/admin-bench.ts";
import { fakeClock } from "../support/control-plane.ts";
import { changed, until } from "../support/until.ts";

interface Listener {
  readonly response: http.IncomingMessage;
  text(): string;
  /** The frames so far that carry an event. */
  events(): readonly { readonly id: string; readonly event: string; readonly data: Record<string, unknown> }[];
}

async function listen(t: TestContext, port: number, lastEventId?: string): Promise<Listener> {
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await begin(port, "GET", "/api/v1/events", { token: TOKEN, headers });
  t.after(() => response.destroy());
  let text = "";
  response.setEncoding("utf8");
  response.on("data", (chunk: string) => {
    text += chunk;
    changed();
  });
  response.on("error", () => {});
  const field = (frame: string, name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(frame)?.[1] ?? "";
  const events: Listener["events"] = () =>
    text
      .split("\n\n")
      .slice(0, -1)
      .filter((frame) => frame.includes("data: "))
      .map((frame) => {
        const data = JSON.parse(field(frame, "data")) as Record<string, unknown>;
        return { id: field(frame, "id"), event: field(frame, "event"), data };
      });
  return { response, text: () => text, events };
}

async function setShare(bench: AdminBench, share: string): Promise<void> {
  await bench.ask("PUT", "/api/v1/routes/api/split", { body: { share, reason: "line one" } });
}

test("a listener hears of a change as it happens, with who and why", async (t) => {
  const bench = await openAdminBench(t);
  const listener = await listen(t, bench.port);
  assert.equal(listener.response.headers["content-type"], "text/event-stream");
  await setShare(bench, "25%");
  const [frame] = await until(() => listener.events().length > 0 && listener.events(), "the event");
  assert.equal(frame?.event, "split-changed");
  assert.match(frame?.id ?? "", /^[a-z0-9]+\.1$/);
  const { at, level, message, actor, reason, route, generation } = frame?.data ?? {};
  assert.deepEqual([at, level, message], ["2026-01-01T00:00:00.000Z", "info", "split changed"]);
  assert.deepEqual([actor, reason, route, generation], ["token", "line one", "api", 2]);
});

test("two listeners hear the same", async (t) => {
  const bench = await openAdminBench(t);
  const listeners = [await listen(t, bench.port), await listen(t, bench.port)];
  await setShare(bench, "25%");
  for (const listener of listeners) await until(() => listener.events().length === 1, "the event");
  assert.deepEqual(listeners[0]?.events(), listeners[1]?.events());
});

test("a listener that comes back is told what it missed, once", async (t) => {
  const bench = await openAdminBench(t);
  const first = await listen(t, bench.port);
  await setShare(bench, "1%");
  const seen = await until(() => first.events()[0], "the first event");
  first.response.destroy();
  await setShare(bench, "2%");
  await setShare(bench, "3%");
  const second = await listen(t, bench.port, seen.id);
  await until(() => second.events().length === 2, "what was missed");
  const generations = second.events().map(({ data }) => data["generation"]);
  assert.deepEqual(generations, [3, 4]);
  const third = await listen(t, bench.port, second.events()[1]?.id);
  await setShare(bench, "4%");
  await until(() => third.events().length === 1, "the next event");
  assert.equal(third.events()[0]?.data["generation"], 5);
});

for (const id of ["another-run.1", "nonsense", "x.1.2", "1e3"]) {
  test(`a listener that comes back with ${id} is told of a gap and of all that is kept`, async (t) => {
    const bench = await openAdminBench(t);
    await setShare(bench, "1%");
    const listener = await listen(t, bench.port, id);
    await until(() => listener.events().length === 2, "the gap and the event");
    assert.deepEqual(
      listener.events().map(({ event }) => event),
      ["gap", "split-changed"],
    );
    assert.deepEqual(listener.events()[0]?.data, { after: id });
  });
}

test("a listener that was away for too long is told of a gap", async (t) => {
  const bench = await openAdminBench(t);
  const first = await listen(t, bench.port);
  const event = (name: string): StateEvent => ({ level: "info", name, message: "m", fields: {} });
  bench.server.publish(event("first"));
  const { id } = await until(() => first.events()[0], "the first event");
  for (let i = 0; i < 1001; i++) bench.server.publish(event(`e${i}`));
  const late = await listen(t, bench.port, id);
  await until(() => late.events().length === 1001, "the gap and a thousand events");
  assert.deepEqual([late.events()[0]?.event, late.events()[1]?.event], ["gap", "e1"]);
  const justInTime = await listen(t, bench.port, id.replace(/1$/, "2"));
  await until(() => justInTime.events().length === 1000, "a thousand events");
  assert.equal(justInTime.events()[0]?.event, "e1");
});

test("an idle stream carries comments", async (t) => {
  const bench = await openAdminBench(t, { over: { keepAliveMs: 10 } });
  const listener = await listen(t, bench.port);
  await until(() => listener.text().split(": still here").length > 3, "three comments");
  assert.equal(listener.events().length, 0);
});

test("a listener that does not read is dropped, and the others hear on", async (t) => {
  const hub = new EventHub({ clock: fakeClock(), maxUnreadBytes: 512 * 1024, kept: 1 });
  const server = http.createServer((_, response) => hub.open(response, null));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    hub.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const slow = await begin(port, "GET", "/", {});
  t.after(() => slow.destroy());
  slow.on("error", () => {});
  const quick = await begin(port, "GET", "/", {});
  t.after(() => quick.destroy());
  let heard = 0;
  quick.on("data", (chunk: Buffer) => {
    heard += chunk.length;
    changed();
  });
  const publish = (): void => {
    hub.publish({ level: "info", name: "big", message: "m", fields: { padding: "x".repeat(128 * 1024) } });
  };
  // The kernel takes megabytes for the slow one before our own buffer begins to fill.
  for (let count = 1; hub.streams === 2 && count < 1000; count++) {
    publish();
    await until(() => heard > count * 128 * 1024, "the quick listener to keep up");
  }
  assert.equal(hub.streams, 1);
  const before = heard;
  publish();
  await until(() => heard > before + 128 * 1024, "the quick listener to hear on");
});

test("closing the server ends the streams", async (t) => {
  const bench = await openAdminBench(t);
  const listener = await listen(t, bench.port);
  const ended = once(listener.response, "end");
  await bench.server.close();
  await ended;
});

test("streams beyond the limit are refused, and places come free again", async (t) => {
  const bench = await openAdminBench(t);
  const listeners: Listener[] = [];
  for (let i = 0; i < 64; i++) listeners.push(await listen(t, bench.port));
  const refused = await bench.ask("GET", "/api/v1/events");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers["retry-after"], "5");
  assert.equal((refused.json["error"] as { code: string }).code, "too_many_streams");
  listeners[0]?.response.destroy();
  let status: number | undefined;
  for (let tries = 0; status !== 200 && tries < 200; tries++) {
    const response = await begin(bench.port, "GET", "/api/v1/events", { token: TOKEN });
    t.after(() => response.destroy());
    status = response.statusCode;
    if (status !== 200) response.resume();
  }
  assert.equal(status, 200);
});

test("a hub without listeners keeps no timer", () => {
  const hub = new EventHub({ clock: fakeClock() });
  hub.publish({ level: "info", name: "x", message: "m", fields: {} });
  assert.equal(hub.streams, 0);
  hub.close();
});

test("errors and big numbers in an event become text, and no field takes the place of the message", async (t) => {
  const bench = await openAdminBench(t);
  const listener = await listen(t, bench.port);
  const fields = { error: new Error("it broke"), count: 5n, message: "other", level: "other" };
  bench.server.publish({ level: "error", name: "odd", message: "the message", fields });
  const [frame] = await until(() => listener.events().length > 0 && listener.events(), "the event");
  const { at: _, ...data } = frame?.data ?? {};
  assert.deepEqual(data, { error: "it broke", count: "5", message: "the message", level: "error" });
});
