/** The last so many strings that were added. */
export class RecentSet {
  readonly #capacity: number;
  /** In the order of adding. */
  readonly #items = new Set<string>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** @returns false if it is among them already. */
  add(item: string): boolean {
    if (this.#items.has(item)) return false;
    this.#items.add(item);
    if (this.#items.size > this.#capacity) {
      for (const oldest of this.#items) {
        this.#items.delete(oldest);
        break;
      }
    }
    return true;
  }
}
