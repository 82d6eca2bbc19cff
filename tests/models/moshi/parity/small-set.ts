import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Generation } from "../../../../models/moshi/generation.ts";
import type { ParityBackend } from "../../../../models/moshi/parity/backend.ts";
import { type WrittenTensor, writeSafetensors } from "../../../../models/tensors/safetensors-writer.ts";
import type { TensorFile } from "../../../../models/tensors/tensor-file.ts";
import { randomCheckpoint, SMALL } from "../gpu/random-checkpoint.ts";
import { referenceConfig } from "../reference/config.ts";
import { referenceLanguageModel } from "../reference/language-model.ts";

export const STEPS = 10;

export type SetValues = { shape: readonly number[]; data: Float32Array | BigInt64Array };
export type SetTensors = Record<string, SetValues>;

const floats = (shape: readonly number[], data: number[]): SetValues => ({
  shape,
  data: Float32Array.from(data),
});
const longs = (shape: readonly number[], data: number[]): SetValues => ({
  shape,
  data: BigInt64Array.from(data, BigInt),
});

export async function writeTensors(path: string, tensors: SetTensors): Promise<void> {
  const written = Object.entries(tensors).map(
    ([name, { shape, data }]): WrittenTensor => ({
      name,
      shape,
      dtype: data instanceof BigInt64Array ? "I64" : "F32",
      pieces: async function* () {
        yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      },
    }),
  );
  await writeSafetensors(path, written);
}

/** What a set's files hold; a test may change them before they are written. */
export interface SmallSet {
  teacherForced: SetTensors;
  greedy: SetTensors;
}

/** A set of random weights in the published layout, with outputs of the double-precision network. */
export async function smallSet(): Promise<SmallSet> {
  const checkpoint = randomCheckpoint(SMALL);
  const { nQ, depQ, card, textCard, temporal } = checkpoint.config;
  const rows = 1 + nQ;
  // Any tokens will do, also the zero token; the first column is what stands before the first.
  const delayed = Array.from({ length: rows * (STEPS + 1) }, (_, i) => {
    const [row, t] = [Math.floor(i / (STEPS + 1)), i % (STEPS + 1)];
    if (t === 0) return row === 0 ? textCard : card;
    return t === 6 ? -1 : (7 * row + 5 * t) % (row === 0 ? textCard : card);
  });
  const column = (t: number): Int32Array =>
    Int32Array.from({ length: rows }, (_, row) => delayed[row * (STEPS + 1) + t]!);
  const model = checkpoint.reference();
  const text: number[] = [];
  const out: number[] = [];
  const depth: number[] = [];
  for (let t = 0; t < STEPS; t++) {
    const next = column(t + 1);
    const audio = [...next.subarray(1, 1 + depQ)];
    const { inspected } = await model.frame({ tokens: column(t), text: next[0]!, audio, inspect: true });
    text.push(...inspected!.textLogits);
    out.push(...inspected!.transformerOut);
    depth.push(...inspected!.depthLogits);
  }
  return {
    teacherForced: {
      delayed: longs([rows, STEPS + 1], delayed),
      text_logits: floats([STEPS, textCard], text),
      transformer_out: floats([STEPS, temporal.dim], out),
      dep_logits: floats([STEPS, depQ, card], depth),
    },
    greedy: await greedyRun(),
  };
}

async function greedyRun(): Promise<SetTensors> {
  const checkpoint = randomCheckpoint(SMALL);
  const { config } = checkpoint;
  const generation = new Generation(checkpoint.reference(), config);
  const nUser = config.nQ - config.depQ;
  const run = {
    user: [] as number[],
    returned: [] as number[],
    valid: [] as number[],
    text: [] as number[],
    audio: [] as number[],
    logits: [] as number[],
  };
  for (let t = 0; t < STEPS; t++) {
    const user = Array.from({ length: nUser }, (_, q) => (3 * t + q) % config.card);
    const { frame, sampled } = await generation.step(user, { inspect: true });
    run.user.push(...user);
    run.returned.push(...(frame ?? new Int32Array(1 + config.depQ).fill(-2)));
    run.valid.push(frame ? 1 : 0);
    run.text.push(sampled.text);
    run.audio.push(...sampled.audio);
    run.logits.push(...sampled.inspected!.textLogits);
  }
  return {
    user_tokens: longs([STEPS, nUser], run.user),
    returned: longs([STEPS, 1 + config.depQ], run.returned),
    returned_valid: longs([STEPS], run.valid),
    sampled_text: longs([STEPS], run.text),
    sampled_audio: longs([STEPS, config.depQ], run.audio),
    text_logits: floats([STEPS, config.textCard], run.logits),
  };
}

/** Writes a set to a new folder. */
export async function writeSet(path: string, { teacherForced, greedy }: SmallSet): Promise<void> {
  await mkdir(path, { recursive: true });
  const { tensors } = randomCheckpoint(SMALL);
  const weights: SetTensors = {};
  for (const [name, { shape }] of tensors.tensors) weights[name] = { shape, data: await tensors.read(name) };
  await writeFile(join(path, "config.json"), JSON.stringify(SMALL));
  await writeTensors(join(path, "model.safetensors"), weights);
  await writeTensors(join(path, "teacher_forced.safetensors"), teacherForced);
  await writeTensors(join(path, "greedy.safetensors"), greedy);
}

/** The double-precision network as what is compared. @param json The set's config.json. */
export function referenceBackend(
  json: Record<string, unknown>,
  weights: ParityBackend["weights"] = "f32",
): ParityBackend {
  return {
    adapter: "double precision",
    weights,
    openLanguageModel: async (_, tensors, options) => {
      const values = await readAll(tensors);
      return referenceLanguageModel(referenceConfig(json), (name) => values.get(name)!, options);
    },
    openCodec: () => Promise.reject(new Error("there is no codec in double precision here")),
    close: () => {},
  };
}

async function readAll(file: TensorFile): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) values.set(name, await file.read(name));
  return values;
}
