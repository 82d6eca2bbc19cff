import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, writeBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";

/** In `forced`: hand on what is sampled. */
export const NOT_FORCED = -2;

/** How tokens are drawn. */
export interface TokenDraw {
  /** Temperature 0 is greedy; topK 0 is all. */
  sampling: { temperature: number; topK: number };
  /** Its lowest 32 bits count. */
  seed: number;
  /** Added to one token's logit for the draw; the logits that are kept stay without. Default: none. */
  bonus?: { token: number; logit: number };
}

/** A prepared draw. */
export interface SampleToken extends Dispatch {
  /**
   * From the next submission on draws so. Allocates nothing on the device.
   * @throws RuntimeError "invalid-argument" for a temperature or a topK below 0.
   */
  drawAs(draw: TokenDraw): void;
}

export interface SampleTokenSpec extends TokenDraw {
  label: string;
  /** Tokens to choose from. */
  cols: number;
  /** (1, cols) f32, or (2, cols) with guidance, the conditioned row first: it is overwritten by the mix. */
  logits: BufferView;
  /** Classifier-free guidance: null + (conditioned - null) · coefficient. */
  guidance?: { coefficient: number };
  /** See kernels/step.ts. The position of the first row is the frame that the noise belongs to. */
  rows: BufferView;
  /** Which draw of the frame this is, of `slots`: its place in the three buffers below. */
  slot: number;
  slots: number;
  /** (slots) i32: a token to hand on in place of the sampled one, or NOT_FORCED. */
  forced: BufferView;
  /** (slots) i32, written: what was drawn; -1 if no logit is a number. */
  sampled: BufferView;
  /** (slots) i32, written: what the next step is to read. */
  handed: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** A power of 4. */
  workgroupSize?: number;
}

const BINDINGS = ["readWrite", "read", "read", "readWrite", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares the draw of one token.
 *
 * @throws RuntimeError "shape-mismatch" if the logits do not fit, "invalid-argument" for a temperature or a topK below 0,
 *         "gpu-compile" if the shader is refused.
 */
export async function createSampleToken(gpu: Gpu, spec: SampleTokenSpec): Promise<SampleToken> {
  const { label, cols, guidance } = spec;
  // A software adapter has two or so cores, and a barrier costs it as much as some hundred products.
  const workgroupSize = spec.workgroupSize ?? (gpu.adapter.isSoftware ? 64 : 256);
  const rows = guidance ? 2 : 1;
  if (spec.logits.sizeBytes < rows * cols * 4) {
    const problem = `logits hold ${spec.logits.sizeBytes / 4} elements, expected ${rows} rows of ${cols}`;
    throw new RuntimeError("shape-mismatch", { part: label, problem });
  }
  const first = packParams(spec, spec);
  const pipeline = await createPipeline(gpu, {
    label: `sample-token x${workgroupSize}`,
    shader: new URL("./sample-token.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: { workgroup_size: workgroupSize },
  });
  const params = createBuffer(gpu, {
    label: `${label} params`,
    role: "uniform",
    sizeBytes: first.byteLength,
  });
  writeBuffer(gpu, params, first);
  const bindGroup = bind(gpu, pipeline, [
    spec.logits,
    spec.rows,
    spec.forced,
    spec.sampled,
    spec.handed,
    params,
    spec.step,
  ]);
  return {
    ...dispatch(label, pipeline, bindGroup, () => [1, 1, 1]),
    drawAs: (draw) => writeBuffer(gpu, params, packParams(spec, draw)),
  };
}

/** The shader's parameters, in its order. */
function packParams({ label, cols, slot, slots, guidance }: SampleTokenSpec, draw: TokenDraw): Uint32Array {
  const { sampling, seed, bonus } = draw;
  if (!(sampling.temperature >= 0) || !(sampling.topK >= 0)) {
    const problem = `temperature ${sampling.temperature} and topK ${sampling.topK}, expected at least 0`;
    throw new RuntimeError("invalid-argument", { part: label, problem });
  }
  const params = new Uint32Array(12);
  params.set([cols, slot, slots, sampling.topK, seed, 0, guidance ? 1 : 0, 0]);
  params[8] = bonus?.token ?? 0;
  const floats = new Float32Array(params.buffer);
  floats[5] = sampling.temperature;
  floats[7] = guidance?.coefficient ?? 0;
  floats[9] = bonus?.logit ?? 0;
  return params;
}
