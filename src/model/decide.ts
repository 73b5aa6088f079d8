import type { Random } from "../base/clock.ts";
import { wordEpoch, wordKilled, wordPpm, type DecisionReason } from "../base/cells.ts";
import { headerValue, textFromField } from "./headers.ts";
import type { Arm, OverrideSpec, SplitSpec } from "./snapshot.ts";
import { bucketOfKey, PPM } from "./split.ts";
import { cookieValue, stickyKey, type KeySources } from "./sticky-key.ts";

/** Which arm a request goes to, and why. */
export interface Decision {
  readonly arm: Arm;
  readonly reason: DecisionReason;
  /** 0..999 999; -1 when no bucket was needed. */
  readonly bucket: number;
  readonly key: string | null;
  /** A key that was made up for this caller and must be given as a cookie; null when none. */
  readonly mintedKey: string | null;
}

/** The share in force right now. */
export interface Share {
  readonly candidatePpm: number;
  readonly killed: boolean;
}

/**
 * Picks the arm: overrides and segments first, then the bucket; a kill beats them all. `mintKey` is called only when
 * the route gives cookies and the caller has no key.
 */
export function decide(
  split: SplitSpec,
  share: Share,
  from: KeySources,
  random: Random,
  mintKey: () => string,
): Decision {
  const key = split.candidate === null && split.sticky.length === 0 ? null : keyOf(split, from);
  // The key still names the caller, for whom answers may be kept.
  if (split.candidate === null) return { arm: "baseline", reason: "no-candidate", bucket: -1, key, mintedKey: null };
  const wanted = overridden(split, from, key) ?? byKey(split, share, key, random, mintKey);
  if (!share.killed || wanted.arm === "baseline") return wanted;
  return { ...wanted, arm: "baseline", reason: "killed" };
}

/**
 * The share that a plan uses: the control word's while their epochs agree. Across a reload they differ for a moment;
 * then the plan's own share holds, except that a kill or a share of zero in the word counts at once.
 */
export function shareInForce(word: number, epoch: number, ownPpm: number, ownKilled: boolean): Share {
  if (wordEpoch(word) === epoch) return { candidatePpm: wordPpm(word), killed: wordKilled(word) };
  return { candidatePpm: wordPpm(word) === 0 ? 0 : ownPpm, killed: wordKilled(word) || ownKilled };
}

function keyOf(split: SplitSpec, from: KeySources): string | null {
  const key = stickyKey(split.sticky, from);
  if (key !== null || split.onMissingKey.kind !== "set-cookie") return key;
  const minted = cookieValue(from.cookie, split.onMissingKey.name);
  return minted === "" ? null : minted;
}

function byKey(split: SplitSpec, share: Share, key: string | null, random: Random, mintKey: () => string): Decision {
  if (key !== null) return bucketed(split, share, key, "bucket", null);
  switch (split.onMissingKey.kind) {
    case "baseline":
      return { arm: "baseline", reason: "baseline", bucket: -1, key: null, mintedKey: null };
    case "random": {
      const bucket = Math.floor(random() * PPM);
      return {
        arm: bucket < share.candidatePpm ? "candidate" : "baseline",
        reason: "random",
        bucket,
        key: null,
        mintedKey: null,
      };
    }
    case "set-cookie": {
      const minted = mintKey();
      return bucketed(split, share, minted, "minted", minted);
    }
  }
}

function bucketed(
  split: SplitSpec,
  share: Share,
  key: string,
  reason: DecisionReason,
  mintedKey: string | null,
): Decision {
  const bucket = bucketOfKey(split.salt, key);
  return { arm: bucket < share.candidatePpm ? "candidate" : "baseline", reason, bucket, key, mintedKey };
}

function overridden(split: SplitSpec, from: KeySources, key: string | null): Decision | null {
  for (const override of split.overrides) {
    if (!applies(override, from, key)) continue;
    const reason = override.when.kind === "segment" ? "segment" : "override";
    return { arm: override.to, reason, bucket: -1, key, mintedKey: null };
  }
  return null;
}

function applies(override: OverrideSpec, from: KeySources, key: string | null): boolean {
  const { when } = override;
  switch (when.kind) {
    case "header":
      return textFromField(headerValue(from.head.headers, when.name)) === when.value;
    case "cookie":
      return textFromField(cookieValue(from.cookie, when.name)) === when.value;
    case "segment":
      return (key !== null && when.keys.includes(key)) || inSegmentByHeader(when.headers, from);
  }
}

function inSegmentByHeader(headers: Readonly<Record<string, readonly string[]>>, from: KeySources): boolean {
  for (const [name, values] of Object.entries(headers)) {
    const value = textFromField(headerValue(from.head.headers, name));
    if (value !== null && values.includes(value)) return true;
  }
  return false;
}
