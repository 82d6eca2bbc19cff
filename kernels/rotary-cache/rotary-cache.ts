import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { KvCacheShape, LayerCache } from "../kv-cache.ts";

/** Rotary positions as in RoFormer (arXiv 2104.09864, 3.2.2): pair j turns by maxPeriod^(-2j / headDim) a position. */
export interface Rotary {
  /** Pairs (2j, 2j + 1), or (j, j + headDim / 2). */
  layout: "interleaved" | "halves";
  /** At least 1. */
  maxPeriod: number;
}

export interface RotaryCacheSpec extends KvCacheShape {
  label: string;
  /** 0 where there are only keys and values to be put away; `q` is not needed then. */
  nHeads: number;
  /** Null: q and k stay as they are. */
  rotary: Rotary | null;
  /** (rows, (nHeads + 2 nKvHeads) headDim) f32. */
  qkv: BufferView;
  /**
   * See kernels/step.ts. A row's `index` is the sequence that it belongs to, 0 where there is one: kv head g of sequence s
   * is head s · nKvHeads + g of the cache. Attention over such a cache takes the rows of all sequences as one row of as
   * many more heads.
   */
  rows: BufferView;
  /** (rows, nHeads headDim) f32, written. */
  q?: BufferView;
  /** Of sequences · nKvHeads heads. Written at the rows' cache slots, which must lie below `capacity`. */
  cache: LayerCache;
  /** (capacity) u32, written: the same array for every layer and sequence. */
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
 * Prepares the rotation of q and k and the append of k and v to a layer's cache. Angles are exact to 1e-7 turns at any
 * position; the implementations that this stands in for round position times rate to f32, 2^-24 of it.
 *
 * @throws RuntimeError "invalid-argument" if headDim is no multiple of 4, maxPeriod is below 1 or q is missing,
 *         "gpu-compile" if the shader is refused.
 */
export async function createRotaryCache(gpu: Gpu, spec: RotaryCacheSpec): Promise<Dispatch> {
  const { label, nHeads, nKvHeads, headDim, rotary } = spec;
  const workgroupSize = spec.workgroupSize ?? 64;
  const fail = (problem: string): never => {
    throw new RuntimeError("invalid-argument", { part: label, problem });
  };
  if (headDim % 4 !== 0) fail(`headDim is ${headDim}, expected a multiple of 4`);
  if (rotary && !(rotary.maxPeriod >= 1)) fail(`maxPeriod is ${rotary.maxPeriod}, expected at least 1`);
  if (nHeads > 0 && !spec.q) fail("there is no buffer for q");
  const pipeline = await createPipeline(gpu, {
    label: `rotary-cache x${workgroupSize}`,
    shader: new URL("./rotary-cache.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: {
      workgroup_size: workgroupSize,
      n_heads: nHeads,
      n_kv_heads: nKvHeads,
      head_dim: headDim,
      capacity: spec.capacity,
      rotates: rotary ? 1 : 0,
      halves: rotary?.layout === "halves" ? 1 : 0,
      half_cache: spec.cache.format === "f16" ? 1 : 0,
    },
  });
  const bindGroup = bind(gpu, pipeline, [
    spec.qkv,
    spec.rows,
    uploadBuffer(gpu, { label: `${label} turns` }, turnsPerPosition(headDim, rotary?.maxPeriod ?? 1)),
    spec.q ?? createBuffer(gpu, { label: `${label} no q`, sizeBytes: 16 }),
    spec.cache.keys,
    spec.cache.values,
    spec.slotPositions,
    spec.step,
  ]);
  const quads = ((nHeads + 2 * nKvHeads) * headDim) / 4;
  return dispatch(label, pipeline, bindGroup, (rows) => [Math.ceil((rows * quads) / workgroupSize), 1, 1]);
}

/** (headDim / 2, 2) u32: what part of a turn each pair makes in one position, as a fraction of 2^64, the lower word first. */
function turnsPerPosition(headDim: number, maxPeriod: number): Uint32Array {
  const pairs = headDim / 2;
  const words = new Uint32Array(2 * pairs);
  for (let j = 0; j < pairs; j++) {
    const upper = (maxPeriod ** (-j / pairs) / (2 * Math.PI)) * 2 ** 32;
    words.set([(upper - Math.floor(upper)) * 2 ** 32, Math.floor(upper)], 2 * j);
  }
  return words;
}
