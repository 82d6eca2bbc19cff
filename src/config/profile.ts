import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { RuntimeError } from "../core/errors.ts";
import { withoutSecrets } from "../core/secrets.ts";
import { devicesSchema } from "./devices.ts";
import { policySchema } from "./policy.ts";
import { reasonerSchema } from "./reasoner.ts";
import { screenSchema } from "./screen.ts";
import { serialSchema } from "./serial.ts";

/** A device or file that is named as one of these forms. */
function named(forms: RegExp, expected: string) {
  return z.string().regex(forms, `expected ${expected}`).default("none").describe(expected);
}

const SOUND = "pulse:NAME, alsa:NAME, pipewire:NAME";

/** Everything that a session needs to be told: one YAML file. Flags of the command line override it. */
export const profileSchema = z.strictObject({
  camera: named(/^(none|(file|v4l2|gst):.+)$/s, "file:PATH, v4l2:PATH, gst:PIPELINE or none"),
  microphone: named(
    /^(none|(file|pulse|alsa|pipewire):.+)$/s,
    `file:PATH (sound, or a video that has sound), ${SOUND} or none`,
  ),
  speaker: named(
    /^(none|(file|pulse|alsa|pipewire):.+)$/s,
    `file:PATH.wav, ${SOUND}, or none: silent, but keeps time`,
  ),
  devices: devicesSchema.prefault({}),
  echo: z
    .enum(["cancel", "system", "off"])
    .default("cancel")
    .describe(
      "what keeps a live microphone from hearing a live speaker: cancel: AEC3, after a self-test of 5 s; system: the microphone named has no echo; off: nothing, as with headphones",
    ),
  voice: z
    .string()
    .default("espeak")
    .describe(
      "espeak, espeak:LANGUAGE, moshi:FOLDER for a text-to-speech checkpoint, or fake for tones of fixed length",
    ),
  textToSpeech: z
    .strictObject({
      voice: z
        .string()
        .min(1)
        .optional()
        .describe(
          "NAME of a published voice in the checkpoint's folder voices, or the path of a .safetensors file; the only one there if absent",
        ),
      codebooks: z
        .number()
        .int()
        .min(1)
        .max(64)
        .optional()
        .describe("of each frame: fewer are faster and coarser; all of the checkpoint's if absent"),
    })
    .prefault({})
    .describe("how a voice of kind moshi:FOLDER speaks"),
  text: z
    .array(
      z.strictObject({
        seconds: z.number().min(0).describe("session time at which it is typed"),
        text: z.string().min(1),
      }),
    )
    .default([])
    .describe("texts typed at given times"),
  serial: serialSchema.prefault({}),
  policy: policySchema.prefault({}),
  reasoner: reasonerSchema.prefault({}),
  screen: screenSchema.prefault({}),
  healthPort: z
    .number()
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe("/metrics (Prometheus), /healthz and /readyz on loopback; 0 takes any free port"),
  clock: z.enum(["real", "virtual"]).default("real").describe("virtual: as fast as the machine can"),
  backend: z.enum(["auto", "gpu", "cpu"]).default("auto").describe("auto: the GPU if it is real hardware"),
  duration: z.number().positive().optional().describe("seconds after which the session ends at the latest"),
  model: z
    .string()
    .optional()
    .describe("checkpoint folder, moshi:FOLDER for one of the Moshi family; the shipped model if absent"),
  persona: z
    .strictObject({
      voice: z
        .string()
        .min(1)
        .optional()
        .describe("NAME in the checkpoint's folder voices, or the path of a .safetensors file"),
      role: z.string().max(10_000).default("").describe("who the model is to be, in its own words"),
    })
    .prefault({})
    .describe("of a PersonaPlex checkpoint"),
  weights: z
    .enum(["as-stored", "f32", "f16", "q8", "q4"])
    .default("as-stored")
    .describe("how the large matrices are held; q4 in the Moshi family alone"),
  seed: z
    .number()
    .int()
    .min(0)
    .max(0xffff_ffff)
    .default(0)
    .describe("for sampling; greedy sessions ignore it"),
  temperature: z
    .number()
    .min(0)
    .max(2)
    .optional()
    .describe("0: always the most probable token; absent: 0, or what a checkpoint of the Moshi family says"),
});

export type Profile = z.infer<typeof profileSchema>;

/**
 * Checks what a profile says and fills in the defaults.
 * @param source for messages: the file's name.
 * @throws RuntimeError "invalid-configuration" naming every wrong key, what was expected and where.
 */
export function parseProfile(data: unknown, source: string): Profile {
  // An empty file is null in YAML: a profile that takes every default.
  const result = profileSchema.safeParse(data ?? {});
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => {
    const where = issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
    return `${where}${issue.message}`;
  });
  throw new RuntimeError("invalid-configuration", {
    part: source,
    problem: faults.join("; "),
    remedy: "See microturn config schema",
  });
}

/**
 * Reads a profile.
 * @throws RuntimeError "invalid-configuration" if the file is missing, is not YAML, or says something unknown.
 */
export async function loadProfile(path: string): Promise<Profile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new RuntimeError("invalid-configuration", {
      part: path,
      problem: "the profile cannot be read",
      remedy: "Give the path of a YAML file",
      cause,
    });
  }
  let data: unknown;
  try {
    data = parseYaml(text);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new RuntimeError("invalid-configuration", { part: path, problem: `not YAML: ${detail}`, cause });
  }
  return parseProfile(data, path);
}

/** The profile as it may be shown and recorded: a copy in which passwords and tokens are masked. */
export function redactedProfile(profile: Profile): Profile {
  return redacted(profile) as Profile;
}

function redacted(value: unknown): unknown {
  if (typeof value === "string") return withoutSecrets(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redacted(inner)]));
}

/** The schema as JSON Schema, for editors. */
export function profileJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(profileSchema, { io: "input" });
}
