import { messageOf } from "../../core/errors.ts";
import type { Link } from "../link/link.ts";

/** Wait before a subscription that failed is tried again, ms. */
const RETRY_MS = 1000;

/** A subscription that is made and ended as its owner wants, one change at a time, the last wish counting. */
export class Membership {
  readonly #link: Link;
  readonly #filter: string;
  readonly #onFault: (detail: string) => void;
  #wanted = false;
  #member = false;
  #changing = false;

  constructor(link: Link, filter: string, onFault: (detail: string) => void) {
    this.#link = link;
    this.#filter = filter;
    this.#onFault = onFault;
  }

  want(member: boolean): void {
    this.#wanted = member;
    if (!this.#changing) void this.#change();
  }

  async #change(): Promise<void> {
    this.#changing = true;
    while (this.#member !== this.#wanted && this.#link.state !== "closed") {
      const wanted = this.#wanted;
      try {
        await (wanted ? this.#link.subscribe(this.#filter) : this.#link.unsubscribe(this.#filter));
        this.#member = wanted;
      } catch (fault) {
        this.#onFault(messageOf(fault));
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
    this.#changing = false;
  }
}
