import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { FRAME_SAMPLES, parseMimiConfig } from "../../../../models/moshi/mimi/config.ts";
import { createMimi, type Mimi } from "../../../../models/moshi/mimi/mimi.ts";
import type { TensorFile } from "../../../../models/tensors/tensor-file.ts";
import type { Gpu } from "../../../../src/gpu/device.ts";
import { gaussian, readBack } from "../../../kernels/harness.ts";
import { expectWithin, type FixtureSet } from "../fixtures.ts";

/**
 * Largest difference of f32 from the original or from double precision, in standard deviations of what is compared: the
 * fixtures' README. What is measured here is some 5e-6.
 */
export const LIMIT = 1e-4;

/** Nearest and second nearest centroid closer than this, of the squared distance: f32 may take either. */
const NEAR_TIE = 1e-5;

/** Standard deviation. */
export function deviation(values: ArrayLike<number>): number {
  const all = Array.from(values);
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  return Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length);
}

/** Samples of frame t. */
export function frameOf<T extends Float32Array | Float64Array>(signal: T, t: number): T {
  return signal.subarray(t * FRAME_SAMPLES, (t + 1) * FRAME_SAMPLES) as T;
}

/** The last frame's latent. */
export async function latentOf(gpu: Gpu, mimi: Mimi): Promise<Float32Array> {
  return new Float32Array(await readBack(gpu, mimi.latent));
}

/** Compares each frame with one set's outputs of the original. */
export async function checkFixture(
  gpu: Gpu,
  { path, tensors }: FixtureSet,
  weights: TensorFile,
): Promise<void> {
  const config = parseMimiConfig(readFileSync(`${path}mimi_config.json`, "utf8"), path);
  const io = tensors("io.safetensors");
  const [wav, latents, codes, pcm, margins] = [
    "wav",
    "latent_streaming",
    "codes_streaming",
    "pcm_streaming",
    "vq_margin",
  ].map((name) => io(name).data) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  const frames = wav.length / FRAME_SAMPLES;
  const at = (data: Float64Array, t: number) =>
    Array.from({ length: data.length / frames }, (_, row) => data[row * frames + t]!);
  const mimi = await createMimi(gpu, config, weights);
  expect(mimi.nCodebooks).toBe(config.nCodebooksUsed);
  const [latentLimit, pcmLimit] = [LIMIT * deviation(latents), LIMIT * deviation(pcm)];
  for (let t = 0; t < frames; t++) {
    const expected = at(codes, t);
    const actual = await mimi.encode(Float32Array.from(frameOf(wav, t)));
    expectWithin(
      (await latentOf(gpu, mimi)).subarray(0, config.transformer.dim),
      at(latents, t),
      latentLimit,
    );
    const first = expected.findIndex((code, k) => code !== actual[k]);
    // After a near tie the later levels of the frame differ with it.
    if (first >= 0) expect(at(margins, t)[first], `frame ${t}, codebook ${first}`).toBeLessThan(NEAR_TIE);
    expectWithin(await mimi.decode(Int32Array.from(expected)), frameOf(pcm, t), pcmLimit);
  }
}

/** Sound that moves through loud and quiet. */
export function sound(frames: number): Float32Array {
  return gaussian(5, frames * FRAME_SAMPLES, 0.3).map(
    (value, i) => value * Math.sin(i / 4000) + 0.3 * Math.sin(i / (3 + (i % 50_000) / 2000)),
  );
}
