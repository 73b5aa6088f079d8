import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "../../src/config/nearest.ts";
import {
  durationFromText,
  shareFromText,
  sizeFromText,
  textFromDuration,
  textFromShare,
  textFromSize,
} from "../../src/config/units.ts";

const DURATIONS = [
  ["0", 0],
  ["0s", 0],
  ["250ms", 250],
  ["5s", 5_000],
  ["10m", 600_000],
  ["2h", 7_200_000],
  ["30d", 2_592_000_000],
] as const;

for (const [text, ms] of DURATIONS) {
  test(`the duration ${text} is ${ms} ms`, () => assert.deepEqual(durationFromText(text), { ok: true, value: ms }));
}

for (const text of ["", "5", "5 s", "1.5s", "-1s", "5S", "5sec", "1m30s", "0x1s", "1234567890s"]) {
  test(`the duration "${text}" is refused`, () => assert.equal(durationFromText(text).ok, false));
}

const SIZES = [
  ["0", 0],
  ["65536", 65_536],
  ["512B", 512],
  ["64KiB", 65_536],
  ["1MiB", 1_048_576],
  ["2GiB", 2_147_483_648],
] as const;

for (const [text, bytes] of SIZES) {
  test(`the size ${text} is ${bytes} bytes`, () => assert.deepEqual(sizeFromText(text), { ok: true, value: bytes }));
}

for (const text of ["", "64KB", "64 KiB", "1.5MiB", "-1", "64kib", "lots"]) {
  test(`the size "${text}" is refused`, () => assert.equal(sizeFromText(text).ok, false));
}

const SHARES = [
  ["0%", 0],
  ["0.0001%", 1],
  ["2.5%", 25_000],
  ["10%", 100_000],
  ["33.3333%", 333_333],
  ["100%", 1_000_000],
  ["100.0000%", 1_000_000],
] as const;

for (const [text, ppm] of SHARES) {
  test(`the share ${text} is ${ppm} ppm`, () => assert.deepEqual(shareFromText(text), { ok: true, value: ppm }));
}

const WRONG_SHARES = [
  ["120%", "is above 100%"],
  ["100.0001%", "is above 100%"],
  ["99999999999%", "is above 100%"],
  ["-1%", "is below 0%"],
  ["1.00001%", "is finer than 0.0001%; write at most four decimals"],
  ["10", "is not a share; write a percentage from 0% to 100%: 10%, 2.5%, 0.0001%"],
  ["10 %", "is not a share; write a percentage from 0% to 100%: 10%, 2.5%, 0.0001%"],
  [".5%", "is not a share; write a percentage from 0% to 100%: 10%, 2.5%, 0.0001%"],
] as const;

for (const [text, message] of WRONG_SHARES) {
  test(`the share ${text} ${message}`, () => assert.deepEqual(shareFromText(text), { ok: false, message }));
}

test("values are printed in their largest whole unit", () => {
  assert.deepEqual(
    ["1d", "36h", "90s", "1500ms", "0s"],
    [86_400_000, 129_600_000, 90_000, 1_500, 0].map(textFromDuration),
  );
  assert.deepEqual(["64KiB", "1MiB", "1025B", "0B"], [65_536, 1_048_576, 1_025, 0].map(textFromSize));
  assert.deepEqual(["0%", "2.5%", "0.0001%", "100%"], [0, 25_000, 1, 1_000_000].map(textFromShare));
});

const KEYS = ["baseline", "candidate", "share", "onMissingKey", "pathPrefix"];
const MISTAKES = [
  ["shaer", "share"],
  ["path_prefix", "pathPrefix"],
  ["PathPrefix", "pathPrefix"],
  ["canidate", "candidate"],
  ["onmissingkey", "onMissingKey"],
  ["x", null],
  ["retry", null],
] as const;

for (const [word, meant] of MISTAKES) {
  test(`"${word}" most likely means ${meant}`, () => assert.equal(nearestName(word, KEYS), meant));
}
