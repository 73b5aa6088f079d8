import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FAILURE_KINDS } from "../../src/base/failure.ts";
import { headerValue } from "../../src/model/headers.ts";
import { grpcLocalFields, grpcStatusOf, grpcTimeoutMs, grpcTimeoutText } from "../../src/policy/grpc.ts";

test("a message comes back as it was after the percent coding, and is printable ASCII on the way", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.constantFrom(...FAILURE_KINDS), (message, kind) => {
      const sent = headerValue(grpcLocalFields(kind, message, "id"), "grpc-message") as string;
      assert.match(sent, /^(?:[\x20-\x24\x26-\x7e]|%[0-9A-F]{2})*$/);
      assert.equal(decodeURIComponent(sent), message);
    }),
  );
});

test("a local reply says the status that a reader of answers finds in it, and never that all is well", () => {
  for (const kind of FAILURE_KINDS) {
    const status = grpcStatusOf(grpcLocalFields(kind, "no", "id"));
    assert.ok(status !== null && status > 0, `${kind}: ${status}`);
  }
});

test("a timeout that we write is one that is read, never longer than what is left", () => {
  fc.assert(
    fc.property(fc.double({ min: 1, max: 1e11, noNaN: true }), (ms) => {
      const read = grpcTimeoutMs(grpcTimeoutText(ms));
      assert.ok(read !== null && read >= 1 && read <= ms && read >= ms - 1_000, `${ms} became ${read}`);
    }),
  );
});

test("any text is a timeout of at least a millisecond, or none", () => {
  const timeoutLike = fc.tuple(
    fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 10 }),
    fc.string({ maxLength: 2 }),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        timeoutLike.map((parts) => parts.join("")),
      ),
      (text) => {
        const ms = grpcTimeoutMs(text);
        assert.ok(ms === null || (Number.isInteger(ms) && ms >= 1), `${ms}`);
      },
    ),
  );
});
