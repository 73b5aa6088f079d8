/**
 * Field names in any case → small numbers above 0, for rules that look at every field of every message: a name that is
 * not in the table is told by its length and first letter, without being copied, lowered or hashed.
 * Bench: bench/micro/head.ts.
 */
export class FieldTable {
  /** By shape: where in the lists its candidates begin; 0 = there are none. */
  readonly #firstOfShape = new Uint8Array(SHAPES);
  readonly #lower: string[] = [""];
  /** As most clients write them: `Content-Length`. */
  readonly #titled: string[] = [""];
  readonly #numbers: number[] = [0];
  /** The next candidate of the same shape; 0 = that was the last. */
  readonly #next: number[] = [0];

  /** Lower-case names, at most 255 of them, each with its number. */
  constructor(entries: Iterable<readonly [lowerName: string, number: number]>) {
    for (const [lower, number] of entries) {
      const shape = shapeOf(lower);
      this.#next.push(this.#firstOfShape[shape] as number);
      this.#firstOfShape[shape] = this.#lower.length;
      this.#lower.push(lower);
      this.#titled.push(lower.replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()));
      this.#numbers.push(number);
    }
  }

  /** The number of a name in any case; 0 for a name that is not in the table. */
  numberOf(name: string): number {
    let at = this.#firstOfShape[shapeOf(name)] as number;
    while (at !== 0) {
      const lower = this.#lower[at] as string;
      if (name === lower || name === this.#titled[at] || name.toLowerCase() === lower) {
        return this.#numbers[at] as number;
      }
      at = this.#next[at] as number;
    }
    return 0;
  }
}

const SHAPES = 1024;

/** Names that differ only in case have the same shape: five bits of the length, five of the first letter. */
function shapeOf(name: string): number {
  return ((name.length & 31) << 5) | (name.charCodeAt(0) & 31);
}
