import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import type { TensorFile } from "../tensors/tensor-file.ts";
import type { MoshiConfig } from "./config.ts";
import type { Conditions } from "./language-model.ts";

/** The conditioner that takes voices. */
export const VOICE_CONDITION = "speaker_wavs";
/** The tensor of a published voice file. */
const VOICE_TENSOR = "speaker_wavs";
/** Voices that Kyutai's text-to-speech is given side by side. */
const VOICE_SLOTS = 5;

/** What the sound of a voice is described by: one vector for each of its frames. */
export interface Voice {
  /** (dim, frames) row-major. */
  values: Float32Array;
  dim: number;
  frames: number;
}

/** Of each conditioner: one of its values, or voices; null or absent is "not said". */
export type ConditionValues = Readonly<Record<string, string | readonly Voice[] | null>>;

/** True for a checkpoint that attends to voices from published files. */
export function takesVoices({ conditioners, fuser }: Pick<MoshiConfig, "conditioners" | "fuser">): boolean {
  return conditioners.get(VOICE_CONDITION)?.kind === "tensor" && fuser.cross.includes(VOICE_CONDITION);
}

/**
 * Reads a published voice file (kyutai/tts-voices).
 *
 * @throws RuntimeError "invalid-checkpoint" for a file without a voice.
 */
export async function readVoice(file: TensorFile): Promise<Voice> {
  const entry = file.tensors.get(VOICE_TENSOR);
  const [one, dim, frames, ...more] = entry?.shape ?? [];
  if (one !== 1 || !dim || !frames || more.length > 0) {
    throw fault(
      `${file.source}: ${VOICE_TENSOR} is [${entry?.shape ?? "absent"}], expected [1, dim, frames]`,
    );
  }
  return { values: await file.read(VOICE_TENSOR), dim, frames };
}

/**
 * What a language model is conditioned on, as vectors, from the conditioners of its checkpoint.
 *
 * @param values     Of each conditioner of the configuration.
 * @param voiceSlots Voices that stand side by side; those that are not given are the checkpoint's learnt padding.
 * @throws RuntimeError "invalid-argument" for a name or a value that the checkpoint does not know, or a voice of other
 *   measures; "invalid-checkpoint" for tensors of other shapes than the configuration says.
 */
export async function readConditions(
  file: TensorFile,
  config: MoshiConfig,
  values: ConditionValues,
  voiceSlots = VOICE_SLOTS,
): Promise<Conditions> {
  const unknown = Object.keys(values).find((name) => !config.conditioners.has(name));
  if (unknown !== undefined) {
    const known = [...config.conditioners.keys()].join(", ") || "none";
    throw usage(`there is no condition '${unknown}', expected ${known}`);
  }
  const { sum, cross, crossPositionScale } = config.fuser;
  const conditions: Conditions = {};
  for (const name of sum) {
    const vector = await readLookup(file, config, name, values[name] ?? null);
    conditions.sum = conditions.sum ? conditions.sum.map((value, i) => value + vector[i]!) : vector;
  }
  const sources: Float32Array[] = [];
  for (const name of cross)
    sources.push(await readVoices(file, config, name, values[name] ?? [], voiceSlots));
  if (sources.length > 0) {
    conditions.cross = concatenate(sources);
    if (crossPositionScale !== null) addPositions(conditions.cross, config.temporal.dim, crossPositionScale);
  }
  return conditions;
}

/** (dim) output_proj * embed[index of the value]; the learnt padding for none. */
async function readLookup(
  file: TensorFile,
  config: MoshiConfig,
  name: string,
  value: ConditionValues[string],
): Promise<Float32Array> {
  const conditioner = config.conditioners.get(name);
  if (conditioner?.kind !== "lut") throw fault(`${file.source}: the condition ${name} is no table`);
  if (value === null) return readPadding(file, config, name);
  const index = typeof value === "string" ? conditioner.values.indexOf(value) : -1;
  if (index < 0) {
    throw usage(`condition ${name}: ${JSON.stringify(value)} is none of ${conditioner.values.join(", ")}`);
  }
  const width = conditioner.dim;
  const table = await readShaped(file, name, "embed.weight", [conditioner.nBins + 1, width]);
  const projection = await readShaped(file, name, "output_proj.weight", [config.temporal.dim, width]);
  return project(projection, table.subarray(index * width, (index + 1) * width), config.temporal.dim);
}

/** (slots * frames, dim) one row for each frame of each voice, padding where there is none. */
async function readVoices(
  file: TensorFile,
  config: MoshiConfig,
  name: string,
  voices: ConditionValues[string],
  slots: number,
): Promise<Float32Array> {
  const conditioner = config.conditioners.get(name);
  if (conditioner?.kind !== "tensor") throw fault(`${file.source}: the condition ${name} takes no voices`);
  if (voices === null || typeof voices === "string" || voices.length === 0 || voices.length > slots) {
    throw usage(`condition ${name}: give one to ${slots} voices`);
  }
  const { dim } = config.temporal;
  const frames = voices[0]!.frames;
  const projection = await readShaped(file, name, "output_proj.weight", [dim, conditioner.dim]);
  const padding = await readPadding(file, config, name);
  const out = new Float32Array(slots * frames * dim);
  for (let slot = 0; slot < slots; slot++) {
    const voice = voices[slot];
    if (voice && (voice.dim !== conditioner.dim || voice.frames !== frames)) {
      const shape = `[${voice.dim}, ${voice.frames}]`;
      throw usage(`condition ${name}: voice ${slot} is ${shape}, expected [${conditioner.dim}, ${frames}]`);
    }
    for (let frame = 0; frame < frames; frame++) {
      const row = voice ? project(projection, frameOf(voice, frame), dim) : padding;
      out.set(row, (slot * frames + frame) * dim);
    }
  }
  return out;
}

function frameOf({ values, dim, frames }: Voice, frame: number): Float32Array {
  expectLength("conditioners", "a voice", values.length, dim * frames);
  return Float32Array.from({ length: dim }, (_, c) => values[c * frames + frame]!);
}

/** (rows) matrix times vector. */
function project(matrix: Float32Array, vector: Float32Array, rows: number): Float32Array {
  return Float32Array.from({ length: rows }, (_, r) =>
    vector.reduce((sum, value, c) => sum + matrix[r * vector.length + c]! * value, 0),
  );
}

/** Adds to each row its position: cosines, then sines, of p / 10000^(j / (dim / 2 - 1)). */
function addPositions(rows: Float32Array, dim: number, scale: number): void {
  const half = dim / 2;
  for (let p = 0; p < rows.length / dim; p++) {
    for (let j = 0; j < half; j++) {
      const phase = p / 10_000 ** (j / (half - 1));
      rows[p * dim + j]! += scale * Math.cos(phase);
      rows[p * dim + half + j]! += scale * Math.sin(phase);
    }
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function readPadding(file: TensorFile, config: MoshiConfig, name: string): Promise<Float32Array> {
  return readShaped(file, name, "learnt_padding", [1, 1, config.temporal.dim]);
}

async function readShaped(
  file: TensorFile,
  conditioner: string,
  name: string,
  shape: readonly number[],
): Promise<Float32Array> {
  const whole = `condition_provider.conditioners.${conditioner}.${name}`;
  const stored = file.tensors.get(whole)?.shape;
  if (stored?.join() !== shape.join()) {
    throw fault(`${file.source}: ${whole} is [${stored ?? "absent"}], expected [${shape}]`);
  }
  return file.read(whole);
}

function fault(problem: string): RuntimeError {
  return new RuntimeError("invalid-checkpoint", { part: "conditioners", problem });
}

function usage(problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", { part: "conditioners", problem });
}
