/** A member of a `SwapList` remembers its place; -1 = in none. */
export interface Listed {
  listIndex: number;
}

/**
 * An unordered list with constant-time add and delete and no garbage. A `Set` would do the same, but each time it grows
 * its old table keeps the new one alive until the next full collection, and with it whatever was a member then: on a
 * list that every request enters and leaves, that costs more than the requests themselves.
 */
export class SwapList<T extends Listed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The member at a place, counted from 0; places change with each delete. */
  at(index: number): T | undefined {
    return this.#items[index];
  }

  /** Adds an item that is in no list. */
  add(item: T): void {
    item.listIndex = this.#items.length;
    this.#items.push(item);
  }

  /** Takes an item out; false when it is not in. */
  delete(item: T): boolean {
    const index = item.listIndex;
    if (index === -1) return false;
    item.listIndex = -1;
    const last = this.#items.pop() as T;
    if (last === item) return true;
    this.#items[index] = last;
    last.listIndex = index;
    return true;
  }

  /** The members as they are now. */
  snapshot(): readonly T[] {
    return [...this.#items];
  }
}
