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
      // The device's own buffer is always full, so that what aplay can give it tells what it has played.
      const buffers = [`--period-time=${125 * bufferMs}`, `--buffer-time=${1000 * bufferMs}`];
      return ["aplay", "--verbose", "--vumeter=mono", ...alsaArguments(device, format), ...buffers];
    }
    case "pipewire": {
      const form = [`--rate=${sampleRateHz}`, `--channels=${channels}`, "--format=s16"];
      // Half of ours at a time, or a turn of the graph could find nothing.
      return ["pw-play", "--verbose", ...target(device), ...form, `--latency=${500 * bufferMs}us`, "-"];
    }
  }
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
