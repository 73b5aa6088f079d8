/** Candidates that are looked at: a file with thousands of mistakes must not take long to refuse. */
const MAX_CANDIDATES = 100;

/** The candidate that a mistyped word most likely means; null when none of the first hundred is close. */
export function nearestName(word: string, candidates: Iterable<string>): string | null {
  const wanted = folded(word);
  let best: string | null = null;
  let bestDistance = Math.floor(wanted.length / 3) + 1;
  let looked = 0;
  for (const candidate of candidates) {
    if (++looked > MAX_CANDIDATES) break;
    const distance = editDistance(wanted, folded(candidate), bestDistance);
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** ` (did you mean "x"?)` for the nearest candidate, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const nearest = nearestName(word, candidates);
  return nearest === null ? "" : ` (did you mean "${nearest}"?)`;
}

/** Case and separators carry no meaning in a typing mistake: `path_prefix` is `pathPrefix`. */
function folded(word: string): string {
  return word
    .slice(0, 64)
    .toLowerCase()
    .replace(/[-_.\s]/g, "");
}

/** Edits between two words, neighbours swapped counting once; `limit` when it takes that many or more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(at(above, column) + 1, at(current, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1));
      if (swapped(a, b, row, column)) cost = Math.min(cost, at(before, column - 2) + 1);
      current.push(cost);
    }
    before = above;
    above = current;
  }
  return Math.min(limit, at(above, b.length));
}

function swapped(a: string, b: string, row: number, column: number): boolean {
  return row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
