import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { RuntimeError } from "../../src/core/errors.ts";
import { withoutSecrets } from "../../src/core/secrets.ts";

/** What a program says on stderr is kept up to here, from its beginning: the first message names the cause. */
const MAX_STDERR_CHARS = 4000;
/** The end of it is kept as well: a program that runs for hours says last why it gave up. */
const MAX_LAST_CHARS = 400;

/** A program that a live device stands on: what a test can put in the place of a child process. */
export interface RunningProgram {
  readonly stdout: AsyncIterable<Buffer>;
  /** Null unless the program is fed. */
  readonly stdin: Pick<Writable, "write" | "writableLength"> | null;
  /** Resolves with the exit status, null if it was killed; rejects with "missing-program" if it could not be started. */
  readonly ended: Promise<number | null>;
  /** The last line that it wrote to stderr, "" if none. Addresses in it come without their passwords. */
  readonly lastComplaint: string;
  kill(): void;
}

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
  /** True leaves stdin open, to be written to while the program runs. */
  fed?: boolean;
  /**
   * Takes each line that the program writes to stderr, in English; those for which it returns true are no complaints.
   */
  takesLine?: (line: string) => boolean;
}

/** A child process whose end and errors are known. */
export class Program implements RunningProgram {
  readonly stdout: Readable;
  readonly stdin: Writable | null;
  /** Readable pipes 3 and up. */
  readonly pipes: readonly Readable[];
  /**
   * Resolves with the exit status when the program has ended, null when it was killed. Rejects with "missing-program"
   * if it could not be started.
   */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #stderr = "";
  #lastStderr = "";

  constructor(options: ProgramOptions) {
    const { part, command, args, remedy, signal, extraPipes = 0, input, fed = false, takesLine } = options;
    const extra = new Array<"pipe">(extraPipes).fill("pipe");
    const stdin = input === undefined && !fed ? "ignore" : "pipe";
    const env = takesLine ? { ...process.env, LC_ALL: "C" } : process.env;
    this.#child = spawn(command, args, { env, stdio: [stdin, "pipe", "pipe", ...extra] });
    this.stdout = this.#child.stdout!;
    this.stdin = this.#child.stdin;
    this.pipes = this.#child.stdio.slice(3) as unknown as Readable[];
    const complain = (text: string) => {
      if (this.#stderr.length < MAX_STDERR_CHARS) this.#stderr += text;
      this.#lastStderr = (this.#lastStderr + text).slice(-MAX_LAST_CHARS);
    };
    this.#child.stderr!.setEncoding("utf8").on("data", takesLine ? untaken(takesLine, complain) : complain);
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
    if (!fed) this.#child.stdin?.end(input);
    if (signal.aborted) this.kill();
  }

  /** The first line that the program wrote to stderr, "" if none, without passwords. */
  get complaint(): string {
    return withoutSecrets(this.#stderr.trim().split("\n")[0] ?? "");
  }

  get lastComplaint(): string {
    return withoutSecrets(this.#lastStderr.trim().split("\n").at(-1) ?? "");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Passes on the lines that `takes` does not take, each when it is whole. */
function untaken(takes: (line: string) => boolean, pass: (text: string) => void): (text: string) => void {
  let begun = "";
  return (text) => {
    // A line that is written over again and again ends with a return alone.
    const lines = (begun + text).split(/[\r\n]/);
    begun = lines.pop()!.slice(-MAX_LAST_CHARS);
    for (const line of lines) if (line.trim() !== "" && !takes(line)) pass(`${line}\n`);
  };
}
