import { createInterface } from "node:readline";
import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";

/** Longer lines are cut: what is typed by hand is shorter. */
const MAX_LINE_CHARS = 2000;

/** Lines as a person types them into a stream, each at the moment its line ends. Ends with the stream. */
export class Keyboard implements Source {
  readonly kind = "events";
  readonly recorded = false;
  readonly name = "keyboard";
  readonly #input: NodeJS.ReadableStream;

  constructor(input: NodeJS.ReadableStream) {
    this.#input = input;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const lines = createInterface({ input: this.#input });
    const onAbort = () => lines.close();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      for await (const line of lines) {
        const text = line.trim().slice(0, MAX_LINE_CHARS);
        const timeMs = clock.nowMs();
        if (text !== "") yield { kind: "event", captureMs: timeMs, event: { kind: "text", timeMs, text } };
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      lines.close();
    }
  }
}
