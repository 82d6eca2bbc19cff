import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { KvCacheShape, LayerCache } from "../kv-cache.ts";

export interface QkvRotaryCacheSpec extends KvCacheShape {
  label: string;
  nHeads: number;
  /** (headDim / 2) in 0..31: pair i turns once in 2^rotaryLog2[i] positions. */
  rotaryLog2: readonly number[];
  /** (rows, (nHeads + 2 nKvHeads) headDim) f32. */
  qkv: BufferView;
  /** See kernels/step.ts. */
  rows: BufferView;
  /** (rows, nHeads headDim) f32, written. */
  q: BufferView;
  /** Of f32. Written at the rows' cache slots, which must lie below `capacity`. */
  cache: LayerCache;
  /** (capacity) u32, written: the same array for every layer. */
  slotPositions: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  workgroupSize?: number;
}

const BINDINGS = [
  "read",
  "read",
  "read",
  "readWrite",
  "readWrite",
  "readWrite",
  "readWrite",
  "uniform",
] as const;

/**
 * Prepares the rotation of q and k and the append of k and v to a layer's cache.
 *
 * @throws RuntimeError "shape-mismatch" if rotaryLog2 has another length, "invalid-argument" if headDim is no multiple
 *         of 4, a period does not fit in 31 bits or the cache is of f16, "gpu-compile" if the shader is refused.
 */
export async function createQkvRotaryCache(gpu: Gpu, spec: QkvRotaryCacheSpec): Promise<Dispatch> {
  const { label, nHeads, nKvHeads, headDim, rotaryLog2 } = spec;
  const workgroupSize = spec.workgroupSize ?? 64;
  expectLength(label, "rotaryLog2", rotaryLog2.length, headDim / 2);
  const fail = (problem: string): never => {
    throw new RuntimeError("invalid-argument", { part: label, problem });
  };
  if (headDim % 4 !== 0) fail(`headDim is ${headDim}, expected a multiple of 4`);
  if (spec.cache.format !== "f32") fail(`the cache is of ${spec.cache.format}, expected f32`);
  for (const log2 of rotaryLog2)
    if (!(log2 >= 0 && log2 < 32)) fail(`rotaryLog2 holds ${log2}, expected 0 to 31`);
  const pipeline = await createPipeline(gpu, {
    label: `qkv-rotary-cache x${workgroupSize}`,
    shader: new URL("./qkv-rotary-cache.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: {
      workgroup_size: workgroupSize,
      n_heads: nHeads,
      n_kv_heads: nKvHeads,
      head_dim: headDim,
      capacity: spec.capacity,
    },
  });
  const bindGroup = bind(gpu, pipeline, [
    spec.qkv,
    spec.rows,
    uploadBuffer(gpu, { label: `${label} periods` }, Uint32Array.from(rotaryLog2)),
    spec.q,
    spec.cache.keys,
    spec.cache.values,
    spec.slotPositions,
    spec.step,
  ]);
  const pairs = ((nHeads + 2 * nKvHeads) * headDim) / 2;
  return dispatch(label, pipeline, bindGroup, (rows) => [Math.ceil((rows * pairs) / workgroupSize), 1, 1]);
}
