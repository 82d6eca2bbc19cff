import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../../bin/microturn", import.meta.url));

type Line = Record<string, unknown> & { kind: string };

/** `microturn reasoner --json` as a process of its own, which a test may end as it likes. */
export class WorkerProcess {
  readonly lines: Line[] = [];
  stderr = "";
  /** Everything that it wrote, as it wrote it. */
  stdout = "";
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #onChange: () => void = () => {};

  constructor(args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#child = spawn(program, ["reasoner", "--json", ...args], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    createInterface({ input: this.#child.stdout! }).on("line", (text) => {
      this.stdout += `${text}\n`;
      this.lines.push(JSON.parse(text) as Line);
      this.#onChange();
    });
    this.#child.stderr!.on("data", (bytes: Buffer) => {
      this.stderr += bytes.toString();
    });
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", (status) => {
        resolve(status);
        this.#onChange();
      });
    });
  }

  /** The first line of that kind; throws if the process ends before. */
  async line(kind: string, matches: (line: Line) => boolean = () => true): Promise<Line> {
    for (;;) {
      const found = this.lines.find((line) => line.kind === kind && matches(line));
      if (found) return found;
      if (this.#child.exitCode !== null) throw new Error(`it ended without ${kind}: ${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }

  /** Its identifier at the broker, once it is there. */
  async ready(): Promise<string> {
    await this.line("link", ({ state }) => state === "up");
    return String((await this.line("started")).worker);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
