import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, MASK, maskSecrets, SECRET_FIELDS, stateEventLogger } from "../../src/telemetry/log.ts";

/** A logger whose lines are collected, parsed. */
function collecting(level = "info") {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { lines, log: createLogger({ level, destination }) };
}

test("a line has a level as a word, an ISO time and the message, and neither host name nor process id", () => {
  const { lines, log } = collecting();
  log.info("config applied");
  assert.deepEqual(Object.keys(lines[0] ?? {}).toSorted(), ["level", "msg", "time"]);
  assert.equal(lines[0]?.["level"], "info");
  assert.equal(lines[0]?.["msg"], "config applied");
  const time = String(lines[0]?.["time"]);
  assert.equal(new Date(time).toISOString(), time);
});

test("lines below the level are not written", () => {
  const { lines, log } = collecting("warn");
  log.info("no");
  log.warn("yes");
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["yes"],
  );
});

test("secrets are masked by the name of their field, in any case and at any depth", () => {
  const { lines, log } = collecting();
  const secret = "s3cr3t";
  for (const name of SECRET_FIELDS) {
    log.warn({ [name]: secret, [name.toUpperCase()]: secret }, "top");
    log.warn({ request: { headers: { [name]: [secret] } } }, "deep");
    log.warn({ list: [{ [name]: secret }] }, "in a list");
    log.child({ [name]: secret }).warn("bound");
  }
  assert.equal(lines.length, 4 * SECRET_FIELDS.length);
  for (const line of lines) {
    assert.ok(!JSON.stringify(line).includes(secret), JSON.stringify(line));
    assert.ok(JSON.stringify(line).includes(MASK), JSON.stringify(line));
  }
});

test("an error is logged with its stack and its cause's message, and without the secrets it carries", () => {
  const { lines, log } = collecting();
  const err = Object.assign(new Error("answer refused", { cause: new Error("why") }), {
    headers: { authorization: "Bearer s3cr3t" },
  });
  log.error({ err }, "scrape failed");
  const logged = lines[0]?.["err"] as Record<string, unknown>;
  assert.match(String(logged["message"]), /answer refused: why/);
  assert.match(String(logged["stack"]), /log\.test\.ts/);
  assert.deepEqual(logged["headers"], { authorization: MASK });
});

test("masking leaves the caller's object as it was, and other values as they are", () => {
  const date = new Date(0);
  const fields = { token: "t", nested: { cookie: "c", kept: 1 }, date, none: null, list: [1, "a"] };
  assert.deepEqual(maskSecrets(fields), {
    token: MASK,
    nested: { cookie: MASK, kept: 1 },
    date,
    none: null,
    list: [1, "a"],
  });
  assert.equal(fields.token, "t");
  assert.equal(fields.nested.cookie, "c");
});

test("an object that contains itself is cut off and not followed for ever", () => {
  const { lines, log } = collecting();
  const cyclic: Record<string, unknown> = { name: "loop" };
  cyclic["self"] = cyclic;
  log.info({ cyclic }, "logged");
  assert.equal(lines[0]?.["msg"], "logged");
  assert.match(JSON.stringify(lines[0]), /too deep/);
});

test("a change of state is one line at its own level, labelled with its name", () => {
  const { lines, log } = collecting();
  const sink = stateEventLogger(log);
  sink({
    level: "warn",
    name: "rollback-applied",
    message: "rollback applied",
    fields: { route: "api", generation: 7 },
  });
  assert.equal(lines.length, 1);
  const { time, ...rest } = lines[0] ?? {};
  assert.deepEqual(rest, {
    level: "warn",
    event: "rollback-applied",
    route: "api",
    generation: 7,
    msg: "rollback applied",
  });
  assert.ok(time);
});
