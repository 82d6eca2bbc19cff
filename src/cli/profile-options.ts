import { loadProfile, type Profile, parseProfile, profileSchema } from "../config/profile.ts";
import { RuntimeError } from "../core/errors.ts";
import {
  choiceOption,
  type Invocation,
  numberOption,
  type OptionValues,
  stringOption,
  stringOptions,
} from "./command.ts";

/** @throws RuntimeError "invalid-argument" unless `spec` is SECONDS:TEXT. */
function typedTextOf(spec: string): { seconds: number; text: string } {
  const match = /^\s*(\d+(?:\.\d+)?)\s*:(.*)$/s.exec(spec);
  const text = match?.[2]?.trim() ?? "";
  if (match === null || text === "") {
    throw new RuntimeError("invalid-argument", {
      part: "--text",
      problem: `'${spec}' is not SECONDS:TEXT`,
      remedy: 'Write for example --text "0:count my push-ups"',
    });
  }
  return { seconds: Number(match[1]), text };
}

/** @throws RuntimeError "invalid-argument" unless `spec` has a form that a profile would take. */
function deviceOf(name: "camera" | "microphone" | "speaker", spec: string): string {
  const form = profileSchema.shape[name];
  if (form.safeParse(spec).success) return spec;
  throw new RuntimeError("invalid-argument", {
    part: `--${name}`,
    problem: `'${spec}' is no device`,
    remedy: `Give ${form.description}`,
  });
}

/** The flags that say how a model runs. Those that were not given are left out. */
export function modelOverrides(values: OptionValues): Partial<Profile> {
  const backend = choiceOption(values, "backend", ["auto", "gpu", "cpu"]);
  const weights = choiceOption(values, "weights", ["as-stored", "f32", "f16", "q8", "q4"]);
  const seed = numberOption(values, "seed", { min: 0, max: 0xffff_ffff, integer: true });
  const model = stringOption(values, "model");
  return {
    ...(backend === undefined ? {} : { backend }),
    ...(weights === undefined ? {} : { weights }),
    ...(seed === undefined ? {} : { seed }),
    ...(model === undefined ? {} : { model }),
  };
}

/** A profile of defaults with these overrides. */
export function profileOf(overrides: Partial<Profile>): Profile {
  return parseProfile(overrides, "options");
}

/**
 * The profile that the first argument names, or the defaults, with the flags over it.
 * @throws RuntimeError "invalid-argument" for a bad flag, "invalid-configuration" for a bad profile.
 */
export async function profileFrom({ values, positionals }: Invocation): Promise<Profile> {
  const overrides: Partial<Profile> = modelOverrides(values);
  for (const name of ["camera", "microphone", "speaker"] as const) {
    const value = stringOption(values, name);
    if (value !== undefined) overrides[name] = deviceOf(name, value);
  }
  const voice = stringOption(values, "voice");
  if (voice !== undefined) overrides.voice = voice;
  const texts = stringOptions(values, "text");
  if (texts.length > 0) overrides.text = texts.map(typedTextOf);
  const echo = choiceOption(values, "echo", ["cancel", "system", "off"]);
  if (echo !== undefined) overrides.echo = echo;
  const clock = choiceOption(values, "clock", ["real", "virtual"]);
  if (clock !== undefined) overrides.clock = clock;
  const duration = numberOption(values, "duration", { min: 0.2 });
  if (duration !== undefined) overrides.duration = duration;

  const healthPort = numberOption(values, "health-port", { min: 0, max: 65_535, integer: true });
  if (healthPort !== undefined) overrides.healthPort = healthPort;

  const path = positionals[0];
  const profile = path === undefined ? profileOf({}) : await loadProfile(path);
  const screen = { ...profile.screen };
  screen.address = stringOption(values, "screen") ?? screen.address;
  return { ...profile, ...overrides, screen };
}
