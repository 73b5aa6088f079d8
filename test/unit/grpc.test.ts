import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FAILURE_KINDS, FAILURES, type FailureKind } from "../../src/base/failure.ts";
import {
  grpcLocalFields,
  grpcStatusFromHttp,
  grpcStatusOf,
  grpcTimeoutMs,
  grpcTimeoutText,
  isGrpc,
} from "../../src/policy/grpc.ts";

test("gRPC is told by its content type, and gRPC-Web is not gRPC", () => {
  for (const type of ["application/grpc", "application/grpc+proto", "application/grpc+json", "Application/GRPC;v=1"]) {
    assert.equal(isGrpc(type), true, type);
  }
  for (const type of [
    null,
    "",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpcs",
    "text/plain",
  ]) {
    assert.equal(isGrpc(type), false, String(type));
  }
});

describe("the status of a gRPC answer", () => {
  const table: [readonly string[] | null, number | null][] = [
    [null, null],
    [[], null],
    [["content-type", "application/grpc"], null],
    [["grpc-status", "0"], 0],
    [["Grpc-Status", "14", "grpc-message", "no"], 14],
    [["grpc-status", "16"], 16],
    [["grpc-status", "17"], 2],
    [["grpc-status", ""], 2],
    [["grpc-status", "-1"], 2],
    [["grpc-status", "UNAVAILABLE"], 2],
  ];
  for (const [fields, status] of table) {
    test(`${JSON.stringify(fields)} says ${status}`, () => assert.equal(grpcStatusOf(fields), status));
  }
});

describe("what a gRPC caller is told", () => {
  const table: [FailureKind, number][] = [
    ["connect-failure", 14],
    ["tls-failure", 14],
    ["upstream-reset", 14],
    ["circuit-open", 14],
    ["overflow", 14],
    ["overloaded", 14],
    ["draining", 14],
    ["connect-timeout", 4],
    ["head-timeout", 4],
    ["try-timeout", 4],
    ["total-timeout", 4],
    ["no-route", 12],
    ["malformed-request", 13],
    ["header-too-large", 13],
    ["client-gone", 1],
    ["internal", 13],
  ];
  for (const [kind, status] of table) {
    test(`${kind} is ${status}`, () => assert.equal(grpcStatusFromHttp(FAILURES[kind].status), status));
  }

  test("no failure of ours is unknown", () => {
    for (const kind of FAILURE_KINDS) assert.notEqual(grpcStatusFromHttp(FAILURES[kind].status), 2, kind);
  });

  test("identity is not lost, and an odd status is unknown", () => {
    assert.deepEqual([401, 403, 418, 200].map(grpcStatusFromHttp), [16, 7, 2, 2]);
  });

  test("the fields make an answer of trailers alone, with the message escaped", () => {
    assert.deepEqual(grpcLocalFields("circuit-open", "100 % näht\n", "id-1"), [
      "content-type",
      "application/grpc",
      "content-length",
      "0",
      "grpc-status",
      "14",
      "grpc-message",
      "100 %25 n%C3%A4ht%0A",
      "x-crossfade-error",
      "circuit_open",
      "x-request-id",
      "id-1",
    ]);
  });
});

describe("grpc-timeout", () => {
  const table: [string | null, number | null][] = [
    ["100m", 100],
    ["1S", 1_000],
    ["2M", 120_000],
    ["1H", 3_600_000],
    ["1500u", 2],
    ["1n", 1],
    ["0S", 1],
    ["99999999H", 99_999_999 * 3_600_000],
    [null, null],
    ["", null],
    ["100", null],
    ["m", null],
    ["100 m", null],
    ["-1m", null],
    ["1.5S", null],
    ["100s", null],
    ["123456789m", null],
  ];
  for (const [text, ms] of table) {
    test(`${JSON.stringify(text)} is ${ms} ms`, () => assert.equal(grpcTimeoutMs(text), ms));
  }

  test("a time that is left is written in milliseconds while eight digits are enough", () => {
    assert.deepEqual([1.9, 0, 99_999_999, 100_000_000, 1e15].map(grpcTimeoutText), [
      "1m",
      "1m",
      "99999999m",
      "100000S",
      "99999999S",
    ]);
  });
});
