import { RuntimeError } from "../../src/core/errors.ts";

/** 16-bit little-endian PCM, channels interleaved: what the tools are asked for. */
export interface SoundFormat {
  sampleRateHz: number;
  channels: number;
  /** Sound that the tool and the system hold, ms: what is asked for; a device may round it. */
  bufferMs: number;
}

/** Schemes of live sound devices. */
export const SOUND_SCHEMES = ["pulse", "alsa", "pipewire"] as const;
export type SoundScheme = (typeof SOUND_SCHEMES)[number];

/** Set-up hint for each scheme's programs. */
const PACKAGES: Record<SoundScheme, string> = {
  pulse: "pulseaudio-utils",
  alsa: "alsa-utils",
  pipewire: "pipewire-bin",
};

export interface SoundDevice {
  scheme: SoundScheme;
  /** The system's name for it, or `default`. */
  name: string;
}

/** The live sound device that a SRC or SINK names, or null if it names none: `pulse:NAME`, `alsa:NAME`, `pipewire:NAME`. */
export function soundDeviceOf(spec: string): SoundDevice | null {
  const [scheme, name] = [spec.slice(0, spec.indexOf(":")), spec.slice(spec.indexOf(":") + 1)];
  const known = SOUND_SCHEMES.find((candidate) => candidate === scheme);
  return known && name !== "" ? { scheme: known, name } : null;
}

/** What to do where a device's program is missing. */
export function toolRemedy({ scheme }: SoundDevice): string {
  return `Install ${PACKAGES[scheme]}: sh deploy/setup.sh, or apt-get install ${PACKAGES[scheme]}`;
}

/** The program that writes what a device hears to its stdout. */
export function captureCommand(device: SoundDevice, format: SoundFormat): string[] {
  const { sampleRateHz, channels, bufferMs } = format;
  switch (device.scheme) {
    case "pulse":
      return ["parec", ...pulseArguments(device, format)];
    case "alsa": {
      // Many short periods: a chunk comes soon, and a program that is held up loses nothing.
      const buffers = [`--period-time=${1000 * bufferMs}`, `--buffer-time=${20_000 * bufferMs}`];
      return ["arecord", ...alsaArguments(device, format), ...buffers];
    }
    case "pipewire": {
      const form = [`--rate=${sampleRateHz}`, `--channels=${channels}`, "--format=s16"];
      return ["pw-record", ...target(device), ...form, `--latency=${bufferMs}ms`, "-"];
    }
  }
}

/** The program that plays what it reads from its stdin. */
export function playbackCommand(device: SoundDevice, format: SoundFormat): string[] {
  const { sampleRateHz, channels, bufferMs } = format;
  switch (device.scheme) {
    case "pulse":
      return ["pacat", "--playback", "--verbose", ...pulseArguments(device, format)];
    case "alsa": {
      // The device's own buffer may be larger: it begins to play at half of ours, and is given no more than that ahead.
      const buffers = [`--period-time=${250 * bufferMs}`, `--buffer-time=${4000 * bufferMs}`];
      return ["aplay", ...alsaArguments(device, format), ...buffers, `--start-delay=${500 * bufferMs}`];
    }
    case "pipewire": {
      const form = [`--rate=${sampleRateHz}`, `--channels=${channels}`, "--format=s16"];
      return ["pw-play", ...target(device), ...form, `--latency=${bufferMs}ms`, "-"];
    }
  }
}

/**
 * How much of what it was given pacat has played, ms, by a line of what it writes to stderr 20 times a second; null for
 * another line. It is the server's own account, with all buffers up to the device, and counts no silence of the server's.
 * It has the digits of a 32-bit float: 1 ms in the first hours, 8 ms after a day.
 */
export function playedMsOf(line: string): number | null {
  const seconds = /^Time: (\d+\.\d+) sec;/.exec(line)?.[1];
  return seconds === undefined ? null : 1000 * Number(seconds);
}

/** True for a line of pacat's that tells of no fault. A busy server leaves a question for the time unanswered. */
export function isChatter(line: string): boolean {
  return !/error|fail|invalid|denied/i.test(line) || line.startsWith("pa_stream_update_timing_info()");
}

function pulseArguments(device: SoundDevice, { sampleRateHz, channels, bufferMs }: SoundFormat): string[] {
  const name = device.name === "default" ? [] : [`--device=${device.name}`];
  const form = ["--raw", "--format=s16le", `--rate=${sampleRateHz}`, `--channels=${channels}`];
  return [...name, ...form, `--latency-msec=${bufferMs}`, "--client-name=microturn"];
}

function alsaArguments({ name }: SoundDevice, { sampleRateHz, channels }: SoundFormat): string[] {
  return ["-q", "-D", name, "-t", "raw", "-f", "S16_LE", "-r", String(sampleRateHz), "-c", String(channels)];
}

function target({ name }: SoundDevice): string[] {
  return name === "default" ? [] : [`--target=${name}`];
}

/**
 * A command of the profile with what is known put in the place of `{NAME}`s.
 * @throws RuntimeError "invalid-configuration" for an empty command or an unknown name.
 */
export function filledIn(
  part: string,
  command: readonly string[],
  values: Readonly<Record<string, string | number>>,
): string[] {
  if (command.length === 0) {
    throw new RuntimeError("invalid-configuration", { part, problem: "its command is empty" });
  }
  return command.map((word) =>
    word.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name];
      if (value !== undefined) return String(value);
      throw new RuntimeError("invalid-configuration", {
        part,
        problem: `its command says {${name}}`,
        remedy: `Use ${Object.keys(values)
          .map((known) => `{${known}}`)
          .join(", ")}`,
      });
    }),
  );
}
