import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWithPrograms } from "./sound-server.ts";

const PROGRAMS = ["pipewire", "wireplumber", "pw-cli", "pw-play", "pw-record", "dbus-run-session"];

/** A suite that needs PipeWire. */
export function describeWithPipewire(name: string, body: () => void): void {
  describeWithPrograms(PROGRAMS, name, body);
}

const STARTED_MS = 30_000;
const node = (name: string, mediaClass: string) =>
  `{ factory.name=support.null-audio-sink node.name=${name} media.class=${mediaClass} object.linger=true audio.position=[FL FR] audio.rate=48000 }`;

/**
 * PipeWire and its session manager, without hardware: the null sink `out`, and `heard`, a microphone that hears what `out`
 * plays. Clients find it by this process's environment.
 */
export class PipewireServer {
  readonly #dir = mkdtempSync(join(tmpdir(), "microturn-pipewire-"));
  readonly #before = { ...process.env };
  #session: ChildProcess | null = null;

  async start(): Promise<void> {
    mkdirSync(join(this.#dir, "home"));
    Object.assign(process.env, {
      HOME: join(this.#dir, "home"),
      XDG_RUNTIME_DIR: this.#dir,
      PIPEWIRE_RUNTIME_DIR: this.#dir,
    });
    // WirePlumber wants a message bus; the bus ends with the shell, and both with their process group.
    this.#session = spawn("dbus-run-session", ["sh", "-c", "pipewire & sleep 1; exec wireplumber"], {
      stdio: "ignore",
      detached: true,
    });
    await this.#until("PipeWire starts", () => existsSync(join(this.#dir, "pipewire-0")));
    for (const made of [node("out", "Audio/Sink"), node("heard", "Audio/Source/Virtual")])
      await this.#until("a device is made", () => succeeds("pw-cli", "create-node", "adapter", made));
    for (const side of ["FL", "FR"])
      await this.#until("it hears", () => succeeds("pw-link", `out:monitor_${side}`, `heard:input_${side}`));
  }

  async stop(): Promise<void> {
    const session = this.#session;
    if (session?.pid !== undefined) {
      const gone = new Promise((resolve) => session.once("exit", resolve));
      process.kill(-session.pid, "SIGKILL");
      await gone;
    }
    for (const name of Object.keys(process.env)) if (!(name in this.#before)) delete process.env[name];
    Object.assign(process.env, this.#before);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    for (let waitedMs = 0; !holds(); waitedMs += 200) {
      if (waitedMs > STARTED_MS) throw new Error(`not within ${STARTED_MS} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function succeeds(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { timeout: 5000 }).status === 0;
}
