import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { RuntimeError } from "../../src/core/errors.ts";

/** What a program says on stderr is kept up to here, from its beginning: the first message names the cause. */
const MAX_STDERR_CHARS = 4000;

export interface ProgramOptions {
  /** For messages: "file camera". */
  part: string;
  command: string;
  args: readonly string[];
  /** What to do if the program is not installed. */
  remedy: string;
  /** Kills the program. */
  signal: AbortSignal;
  /** Pipes beside stdin, stdout and stderr: 1 gives one readable as pipe 3. */
  extraPipes?: number;
  /** Written to stdin, which is then closed. */
  input?: string;
}

/** A child process whose end and errors are known. */
export class Program {
  readonly stdout: Readable;
  /** Readable pipes 3 and up. */
  readonly pipes: readonly Readable[];
  /**
   * Resolves with the exit status when the program has ended, null when it was killed. Rejects with "missing-program"
   * if it could not be started.
   */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #stderr = "";

  constructor(options: ProgramOptions) {
    const { part, command, args, remedy, signal, extraPipes = 0, input } = options;
    const extra = new Array<"pipe">(extraPipes).fill("pipe");
    const stdin = input === undefined ? "ignore" : "pipe";
    this.#child = spawn(command, args, { stdio: [stdin, "pipe", "pipe", ...extra] });
    this.stdout = this.#child.stdout!;
    this.pipes = this.#child.stdio.slice(3) as unknown as Readable[];
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      if (this.#stderr.length < MAX_STDERR_CHARS) this.#stderr += text;
    });
    const onAbort = () => this.kill();
    signal.addEventListener("abort", onAbort, { once: true });
    this.ended = new Promise<number | null>((resolve, reject) => {
      this.#child.once("close", resolve);
      this.#child.once("error", (cause) =>
        reject(
          new RuntimeError("missing-program", { part, problem: `cannot start ${command}`, remedy, cause }),
        ),
      );
    }).finally(() => signal.removeEventListener("abort", onAbort));
    // Whoever needs the end awaits it; nobody has to.
    this.ended.catch(() => {});
    // A program that ends before it has read all is judged by its exit, not by the broken pipe.
    this.#child.stdin?.on("error", () => {});
    this.#child.stdin?.end(input);
    if (signal.aborted) this.kill();
  }

  /** The first line that the program wrote to stderr, "" if none. */
  get complaint(): string {
    return this.#stderr.trim().split("\n")[0] ?? "";
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
