import type { Io } from "../../src/cli/command.ts";

/** An Io that keeps what was written. */
export class CapturedIo implements Io {
  stdout = "";
  stderr = "";
  isTerminal = false;
  columns = 100;
  readonly #abort = new AbortController();

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** As Ctrl-C does. */
  interrupt(): void {
    this.#abort.abort(new Error("SIGINT"));
  }

  out(text: string): void {
    this.stdout += text;
  }

  err(text: string): void {
    this.stderr += text;
  }

  /** Each line of stdout as JSON; throws if one is not. */
  jsonLines(): Record<string, unknown>[] {
    return this.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
