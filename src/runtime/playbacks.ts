/** What is with the speaker and what is still to be told of it; keeps the first fault. */
export class Playbacks {
  readonly #reports = new Set<Promise<void>>();
  #failure: unknown = null;

  /** Pieces of which something is still to be told. */
  get size(): number {
    return this.#reports.size;
  }

  /** @param report tells of one piece as it sounds. @param over called when that has ended, with a fault or without. */
  add(report: Promise<void>, over: () => void): void {
    const told = report
      .catch((fault: unknown) => this.fail(fault))
      .finally(() => {
        over();
        this.#reports.delete(told);
      });
    this.#reports.add(told);
  }

  fail(fault: unknown): void {
    this.#failure ??= fault;
  }

  /** @throws the first fault, if there was one. */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Resolves when all that is with the speaker now has been told of. */
  async settled(): Promise<void> {
    await Promise.all(this.#reports);
  }
}
