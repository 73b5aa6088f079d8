import { CONTROL_WORDS, EPOCH_MASK, PAGE_BYTES, pageOf } from "../base/cells.ts";
import type { ArmLabel } from "../base/cells.ts";
import { seriesKeyText } from "../base/series.ts";
import { endpointText } from "../model/endpoint.ts";
import type { SeriesKey } from "../base/series.ts";
import { GATES, gateStride } from "../base/gates.ts";
import type { EndpointSpec, FallbackStep, RouteCells, UpstreamCells } from "../model/snapshot.ts";

/** What the table must know of a route to give it cells. */
export interface RouteIdentity {
  readonly name: string;
  readonly digest: string;
  readonly split: { readonly baseline: string; readonly candidate: string | null };
  readonly fallback: readonly FallbackStep[];
}

/** What the table must know of an upstream to give it cells. */
export interface UpstreamIdentity {
  readonly name: string;
  readonly endpoints: readonly EndpointSpec[];
}

/** One series and the block that counts it, in every data thread. */
export interface SeriesBlock {
  readonly key: SeriesKey;
  readonly block: number;
}

/** The route label of replies that were made before a route was found. */
export const NO_ROUTE = "_none";

/** The upstream label of replies that no upstream made. */
export const NO_UPSTREAM = "none";

/**
 * Gives out the cells: a control word per route, a counter block per series, and the pages that the blocks lie on.
 * The table lives as long as the process; snapshots come and go over it.
 *
 *   gate    never given to another endpoint, so a circuit or a health that is known outlives a reload
 *   word    freed with its route, given out again as late as possible and then under another epoch
 *   block   never given to another series, so counters survive every reload; unused pages cost no memory
 *   page    made for all regions (one per data thread) at the same time, so block ids mean the same in each
 */
export class CellTable {
  /** The control words; one writer, the snapshot store. */
  readonly words: Int32Array;
  /** The gates of all upstreams and endpoints; see base/gates.ts. */
  readonly gates: Int32Array;
  /** Data threads that the gates have windows for. */
  readonly threads: number;
  /** Exchange block of replies before a route was found. */
  readonly noRouteBlock: number;

  readonly #gates = new Map<string, number>();
  /** Where each upstream was in the last snapshot. */
  readonly #places = new Map<string, { readonly anchor: string; readonly endpoints: readonly string[] }>();
  readonly #blocks = new Map<string, SeriesBlock>();
  readonly #regions: SharedArrayBuffer[][] = [];
  readonly #leases = new Map<string, WordLease>();
  readonly #epochs: Uint16Array;
  readonly #freed: number[] = [];
  #pageCount = 1;
  #untouchedWord = 0;

  /** `wordCount`: routes that can have a control word at once; tests take a small one. `threads`: data threads. */
  constructor(wordCount = CONTROL_WORDS, threads = 1) {
    this.words = new Int32Array(new SharedArrayBuffer(wordCount * Int32Array.BYTES_PER_ELEMENT));
    this.threads = threads;
    this.gates = new Int32Array(new SharedArrayBuffer(GATES * gateStride(threads) * Int32Array.BYTES_PER_ELEMENT));
    this.#epochs = new Uint16Array(wordCount);
    this.blockOf({ kind: "thread" });
    this.noRouteBlock = this.blockOf({ kind: "exchange", route: NO_ROUTE, arm: "none", upstream: NO_UPSTREAM });
  }

  /** The block of a series; a new one the first time. */
  blockOf(key: SeriesKey): number {
    const text = seriesKeyText(key);
    const known = this.#blocks.get(text);
    if (known !== undefined) return known.block;
    const block = this.#blocks.size;
    this.#blocks.set(text, { key, block });
    this.#growTo(pageOf(block) + 1);
    return block;
  }

  /** Every series ever given a block, in block order. */
  series(): readonly SeriesBlock[] {
    return [...this.#blocks.values()];
  }

  /** The pages of a data thread's region; a replaced thread takes over the region, and so its counters. */
  pagesOf(threadIndex: number): readonly SharedArrayBuffer[] {
    while (this.#regions.length <= threadIndex) this.#regions.push([]);
    this.#growTo(this.#pageCount);
    return this.#regions[threadIndex] as SharedArrayBuffer[];
  }

  /** The regions that exist so far, by thread index. */
  regions(): readonly (readonly SharedArrayBuffer[])[] {
    return this.#regions;
  }

  /** How many routes can have a word at once. */
  get capacity(): number {
    return this.words.length;
  }

  /**
   * Cells for all routes of the next snapshot, in their order. Routes that are not named lose their word; a route
   * whose digest changed keeps its word under the next epoch. Throws RangeError above `capacity`.
   */
  assign(routes: readonly RouteIdentity[]): readonly RouteCells[] {
    if (routes.length > this.capacity) {
      throw new RangeError(`${routes.length} routes need a control word each, but there are ${this.capacity}`);
    }
    this.#freeAllBut(new Set(routes.map((route) => route.name)));
    return routes.map((route) => this.#cellsOf(route));
  }

  /** Cells of an upstream and of its endpoints. Throws RangeError when all gates are taken. */
  assignUpstream({ name, endpoints }: UpstreamIdentity): UpstreamCells {
    const texts = endpoints.map(endpointText);
    return {
      block: this.blockOf({ kind: "upstream", upstream: name }),
      gate: this.#gateOf([name, this.#anchorOf(name, texts), "*"]),
      endpointGates: texts.map((text) => this.#gateOf([name, text])),
    };
  }

  /**
   * What an upstream as a whole is known by besides its name: one of its addresses, the same for as long as each list has
   * any address in common with the one before. At wholly other addresses it is another service, and what was known of the
   * old one says nothing about it.
   */
  #anchorOf(name: string, endpoints: readonly string[]): string {
    const before = this.#places.get(name);
    const isSame = before !== undefined && endpoints.some((text) => before.endpoints.includes(text));
    const anchor = isSame ? before.anchor : (endpoints.toSorted()[0] ?? "");
    this.#places.set(name, { anchor, endpoints });
    return anchor;
  }

  #gateOf(identity: readonly unknown[]): number {
    const key = JSON.stringify(identity);
    const known = this.#gates.get(key);
    if (known !== undefined) return known;
    const gate = this.#gates.size;
    if (gate >= GATES) throw new RangeError(`all ${GATES} gates of upstreams and endpoints are taken; restart`);
    this.#gates.set(key, gate);
    return gate;
  }

  #cellsOf(route: RouteIdentity): RouteCells {
    const lease = this.#leaseFor(route.name, route.digest);
    const { baseline, candidate } = route.split;
    const exchangeBlock = (arm: ArmLabel, upstream: string): number =>
      this.blockOf({ kind: "exchange", route: route.name, arm, upstream });
    const baselineBlock = exchangeBlock("baseline", baseline);
    return {
      word: lease.word,
      epoch: this.#epochs[lease.word] as number,
      routeBlock: this.blockOf({ kind: "route", route: route.name }),
      baselineBlock,
      // Without a candidate nothing is ever counted for it: the baseline's block stands in, so that no empty series shows.
      candidateBlock: candidate === null ? baselineBlock : exchangeBlock("candidate", candidate),
      fallbackBlocks: route.fallback.map((step) => fallbackBlock(step, exchangeBlock)),
    };
  }

  #leaseFor(name: string, digest: string): WordLease {
    const held = this.#leases.get(name);
    if (held !== undefined && held.digest === digest) return held;
    const lease = { word: held?.word ?? this.#takeWord(), digest };
    this.#epochs[lease.word] = ((this.#epochs[lease.word] as number) + 1) & EPOCH_MASK;
    this.#leases.set(name, lease);
    return lease;
  }

  /** Words never used come first: a plan that still runs on a freed word should read its old value for long. */
  #takeWord(): number {
    if (this.#untouchedWord < this.capacity) return this.#untouchedWord++;
    const word = this.#freed.shift();
    if (word === undefined) throw new RangeError(`all ${this.capacity} control words are taken`);
    return word;
  }

  #freeAllBut(names: ReadonlySet<string>): void {
    for (const [name, lease] of this.#leases) {
      if (names.has(name)) continue;
      this.#leases.delete(name);
      this.#freed.push(lease.word);
    }
  }

  #growTo(pageCount: number): void {
    this.#pageCount = Math.max(this.#pageCount, pageCount);
    for (const region of this.#regions) {
      while (region.length < this.#pageCount) region.push(new SharedArrayBuffer(PAGE_BYTES));
    }
  }
}

/** Answers that no upstream made are counted under the label of replies of ours. */
function fallbackBlock(step: FallbackStep, exchangeBlock: (arm: ArmLabel, upstream: string) => number): number {
  if (step.kind === "upstream") return exchangeBlock("fallback", step.upstream);
  return step.kind === "arm" ? 0 : exchangeBlock("fallback", NO_UPSTREAM);
}

/** A route's hold on its word, and the digest that the word's epoch stands for. */
interface WordLease {
  readonly word: number;
  readonly digest: string;
}
