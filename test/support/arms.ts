import assert from "node:assert/strict";
import { bucketOfKey } from "../../src/model/split.ts";
import { header } from "./message-reader.ts";
import { connectRaw, requestText, type Answer, type RawClient } from "./raw-client.ts";
import type { Scope } from "./scope.ts";

/** Who served each key, in the order of the keys. */
export type Arms = ReadonlyMap<string, string>;

/** The name in the served-by header; "" when it is missing. */
export function servedBy(answer: Answer): string {
  return header(answer, "x-crossfade-upstream") ?? "";
}

/** Several connections to a sidecar, so that the kernel deals them to all of its threads. */
export function connectMany(scope: Scope, port: number, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: count }, () => connectRaw(scope, port)));
}

/** Asks for every key once, in a header, over the connections in turn; `from` shifts which key goes over which. */
export async function askAll(
  clients: readonly RawClient[],
  keys: readonly string[],
  options: { readonly from?: number; readonly target?: string } = {},
): Promise<Arms> {
  const { from = 0, target = "/" } = options;
  const arms = new Map<string, string>();
  const askOne = async (client: RawClient, share: number): Promise<void> => {
    for (let i = share; i < keys.length; i += clients.length) {
      const key = keys[i] as string;
      const answer = await client.exchange(requestText("GET", target, [`x-user-id: ${key}`]));
      assert.equal(answer.status, 200, answer.text);
      arms.set(key, servedBy(answer));
    }
  };
  await Promise.all(clients.map((client, i) => askOne(client, (i + from) % clients.length)));
  return new Map(keys.map((key) => [key, arms.get(key) ?? ""]));
}

/** What anybody can compute: the arm of each key at a share. */
export function expectedArms(keys: readonly string[], salt: string, candidatePpm: number): Arms {
  return new Map(keys.map((key) => [key, bucketOfKey(salt, key) < candidatePpm ? "v2" : "v1"]));
}

/** Keys that are on v2. */
export function onCandidate(arms: Arms): ReadonlySet<string> {
  return new Set([...arms].filter(([, arm]) => arm === "v2").map(([key]) => key));
}

/** `user-0` and so on. */
export function userKeys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user-${i}`);
}
