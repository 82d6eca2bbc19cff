import { FakeRobot, type Motion } from "./fake-robot.ts";
import { makePty, type Pty } from "./pty.ts";

/** How often the robot's own loop runs, ms. */
const POLL_MS = 10;

export interface PluggedRobotOptions {
  /** Where the link to its port is made. */
  path: string;
  onMotion?: (motion: Motion) => void;
  /** The board's clock, whole ms of any origin. Default: the machine's. */
  nowMs?: () => number;
}

/** A fake robot on a pseudo-terminal, which a session opens as it opens a real port. */
export class PluggedRobot {
  readonly robot: FakeRobot;
  readonly #path: string;
  readonly #nowMs: () => number;
  readonly #timer: NodeJS.Timeout;
  #pty: Pty | null = null;

  /** Powers the robot up; it is on no port yet. */
  constructor({
    path,
    onMotion = () => {},
    nowMs = () => Math.floor(performance.now()),
  }: PluggedRobotOptions) {
    this.#path = path;
    this.#nowMs = () => nowMs() >>> 0;
    this.robot = new FakeRobot({ write: (bytes) => this.#pty?.write(bytes), onMotion });
    this.#timer = setInterval(() => this.robot.poll(this.#nowMs()), POLL_MS);
  }

  /** The process that holds the port; null while unplugged. */
  get pid(): number | null {
    return this.#pty?.pid ?? null;
  }

  /**
   * Plugs it in.
   * @returns a promise of the moment at which the port is gone, as it is too when a host has closed it.
   * @throws RuntimeError "missing-program" or "device-unavailable".
   */
  async plug(): Promise<{ gone: Promise<void> }> {
    const pty = await makePty(this.#path);
    this.#pty = pty;
    pty.output.on("data", (bytes: Uint8Array) => this.robot.receive(bytes, this.#nowMs()));
    const gone = pty.gone.then(() => {
      if (this.#pty === pty) this.#pty = null;
    });
    return { gone };
  }

  /** Pulls the plug; the robot goes on by itself. */
  async unplug(): Promise<void> {
    await this.#pty?.kill();
  }

  /** Unplugs it and takes its power away. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.unplug();
  }
}
