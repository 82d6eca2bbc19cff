import type { Delivery, Link, LinkState } from "../../../src/reasoner/link/link.ts";

/** Opens a link and keeps what comes in, so that a test can wait for it. */
export class Inbox {
  readonly deliveries: Delivery[] = [];
  readonly states: { state: LinkState; detail: string }[] = [];
  readonly faults: string[] = [];
  readonly #link: Link;
  #waiting: (() => void)[] = [];

  /** @param acknowledge false: the test does it. */
  constructor(link: Link, acknowledge = true) {
    this.#link = link;
    link.open({
      message: (delivery) => {
        this.deliveries.push(delivery);
        if (acknowledge) delivery.acknowledge();
        this.#changed();
      },
      state: (state, detail) => {
        this.states.push({ state, detail });
        this.#changed();
      },
      fault: (detail) => {
        this.faults.push(detail);
      },
    });
  }

  get texts(): string[] {
    return this.deliveries.map((delivery) => Buffer.from(delivery.payload).toString());
  }

  /** Waits until `count` messages have come in all. */
  async messages(count: number): Promise<Delivery[]> {
    await this.#until(() => this.deliveries.length >= count);
    return this.deliveries;
  }

  /** Waits until the link is in that state, which it may be already. */
  async state(state: LinkState): Promise<void> {
    await this.#until(() => this.#link.state === state);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
