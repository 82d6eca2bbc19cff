import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";

/** A suite that needs these programs: skipped, and reported so, where one is absent; with REQUIRE_SOUND=1 it fails instead. */
export function describeWithPrograms(programs: readonly string[], name: string, body: () => void): void {
  const missing = programs.filter((program) => spawnSync(program, ["--version"]).error !== undefined);
  if (missing.length > 0 && process.env.REQUIRE_SOUND === "1") {
    throw new Error(
      `not installed, and REQUIRE_SOUND=1 says that they must be: ${missing.join(", ")}. Run sh deploy/setup.sh --with-tests`,
    );
  }
  describe.skipIf(missing.length > 0)(
    missing.length > 0 ? `${name} (not installed: ${missing.join(", ")})` : name,
    body,
  );
}

/** A suite that needs a PulseAudio server. */
export function describeWithSound(name: string, body: () => void): void {
  describeWithPrograms(["pulseaudio", "parec", "pacat", "arecord", "aplay"], name, body);
}

const STARTED_MS = 20_000;

/**
 * A PulseAudio daemon of its own, without hardware: the null sinks `room` and `out`, whose monitors are microphones, and
 * ALSA devices of the same names on top of them. Its clients find it by this process's environment.
 */
export class SoundServer {
  readonly #dir = mkdtempSync(join(tmpdir(), "microturn-sound-"));
  readonly #before = { ...process.env };
  #daemon: ChildProcess | null = null;

  /** Starts the daemon, again after `kill`. */
  async start(): Promise<void> {
    const socket = join(this.#dir, "native");
    rmSync(socket, { force: true });
    mkdirSync(join(this.#dir, "runtime"), { recursive: true });
    writeFileSync(
      join(this.#dir, "default.pa"),
      [
        "load-module module-null-sink sink_name=room rate=48000 channels=2",
        "load-module module-null-sink sink_name=out rate=48000 channels=2",
        `load-module module-native-protocol-unix socket=${socket} auth-anonymous=1`,
      ].join("\n"),
    );
    const alsa = (name: string, device: string) =>
      `pcm.${name} { type pulse server "unix:${socket}" device "${device}" }\n`;
    writeFileSync(
      join(this.#dir, "asound.conf"),
      `pcm_type.pulse { lib "libasound_module_pcm_pulse.so" }\n${alsa("out", "out")}${alsa("room", "room.monitor")}${alsa("heard", "out.monitor")}`,
    );
    Object.assign(process.env, {
      HOME: this.#dir,
      XDG_RUNTIME_DIR: this.#dir,
      XDG_CONFIG_HOME: this.#dir,
      PULSE_RUNTIME_PATH: join(this.#dir, "runtime"),
      PULSE_SERVER: `unix:${socket}`,
      ALSA_CONFIG_PATH: `/usr/share/alsa/alsa.conf:${join(this.#dir, "asound.conf")}`,
    });
    const options = ["--exit-idle-time=-1", "--daemonize=no", "--use-pid-file=no", "--disallow-exit"];
    const log = join(this.#dir, "log");
    this.#daemon = spawn(
      "pulseaudio",
      ["-n", "-F", join(this.#dir, "default.pa"), ...options, `--log-target=file:${log}`],
      { stdio: "ignore" },
    );
    for (let waitedMs = 0; !existsSync(socket) || !this.#answers(); waitedMs += 100) {
      if (waitedMs > STARTED_MS) throw new Error(`pulseaudio does not start: ${readFileSync(log, "utf8")}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** What `out` plays sounds in `room` too, after about `delayMs` and at `level` of its amplitude. */
  echo({ delayMs, level }: { delayMs: number; level: number }): void {
    const pactl = (...args: string[]) => {
      const { status, stderr } = spawnSync("pactl", args, { encoding: "utf8" });
      if (status !== 0) throw new Error(`pactl ${args.join(" ")}: ${stderr}`);
    };
    pactl("load-module", "module-loopback", "source=out.monitor", "sink=room", `latency_msec=${delayMs}`);
    // PulseAudio's volumes are cubic.
    pactl("set-sink-volume", "room", `${Math.round(100 * Math.cbrt(level))}%`);
  }

  #answers(): boolean {
    return spawnSync("pactl", ["info"], { timeout: 5000 }).status === 0;
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = null;
    if (!daemon || daemon.exitCode !== null) return;
    const gone = new Promise((resolve) => daemon.once("exit", resolve));
    daemon.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    for (const name of Object.keys(process.env)) if (!(name in this.#before)) delete process.env[name];
    Object.assign(process.env, this.#before);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Kills this process's children of that name with signal 9. @returns how many there were. */
export function killChildren(name: string): number {
  const { stdout } = spawnSync("pgrep", ["-P", String(process.pid), "-x", name], { encoding: "utf8" });
  const pids = stdout.split("\n").filter((line) => line !== "");
  for (const pid of pids) process.kill(Number(pid), "SIGKILL");
  return pids.length;
}
