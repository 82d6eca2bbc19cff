import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { KvCacheShape, LayerCache } from "../kv-cache.ts";

/** How the work is cut up. Chosen by the wrapper; a test or a tuner may name another cut. */
export interface AttentionTiling {
  /** Threads, each of which scores four slots at a time: a multiple of headDim / 4. */
  workgroupSize: number;
  /** Parts of the cache that run side by side; more than one costs a second dispatch that joins them. */
  splits: number;
}

export interface AttentionSpec extends KvCacheShape {
  label: string;
  nHeads: number;
  /** The first slots, which forget after `perceptionTurns` micro-turns. */
  perceptionSlots: number;
  perceptionTurns: number;
  /** Rows of the largest step. */
  maxRows: number;
  /** (rows, nHeads headDim) f32, rotated. */
  q: BufferView;
  cache: LayerCache;
  /** (capacity) u32. */
  slotPositions: BufferView;
  /** See kernels/step.ts. */
  rows: BufferView;
  /** (rows, nHeads headDim) f32, written. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** Default: `defaultAttentionTiling`. */
  tiling?: AttentionTiling;
}

/** Heads of rows that a workgroup takes at a time. */
const QUERY_BLOCK = 4;

const BINDINGS = ["read", "read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;
const MERGE_BINDINGS = ["read", "readWrite", "uniform", "uniform"] as const;

/**
 * A workgroup is bound by how long it walks the cache, so a GPU splits the cache, most for a single row. The two or so
 * cores of a software adapter are busy without, and its barriers cost least in the smallest workgroups.
 */
export function defaultAttentionTiling(
  gpu: Gpu,
  shape: Pick<AttentionSpec, "headDim" | "capacity" | "maxRows">,
): AttentionTiling {
  const { isSoftware } = gpu.adapter;
  const chunks = shape.headDim / 4;
  const workgroupSize = chunks * Math.ceil((isSoftware ? 8 : 32) / chunks);
  const tiles = Math.ceil(shape.capacity / (4 * workgroupSize));
  return { workgroupSize, splits: isSoftware ? 1 : Math.min(shape.maxRows > 4 ? 4 : 16, tiles) };
}

/** Dispatches that attention over such a cache takes: what is split must be joined. */
export function attentionDispatches(gpu: Gpu, shape: Parameters<typeof defaultAttentionTiling>[1]): number {
  return defaultAttentionTiling(gpu, shape).splits > 1 ? 2 : 1;
}

/**
 * Prepares attention of a step's rows over a layer's cache, their own keys included: one dispatch, or two if the cache is
 * split.
 *
 * @throws RuntimeError "invalid-argument" if the tiling does not fit the heads, "gpu-compile" if a shader is refused.
 */
export async function createAttention(gpu: Gpu, spec: AttentionSpec): Promise<Dispatch[]> {
  const { label, nHeads, nKvHeads, headDim, capacity } = spec;
  const tiling = spec.tiling ?? defaultAttentionTiling(gpu, spec);
  const { workgroupSize, splits } = tiling;
  const chunks = headDim / 4;
  const groupHeads = nHeads / nKvHeads;
  const fail = (problem: string): never => {
    throw new RuntimeError("invalid-argument", { part: label, problem });
  };
  if (!Number.isInteger(chunks)) fail(`headDim is ${headDim}, expected a multiple of 4`);
  if (!Number.isInteger(groupHeads)) fail(`nHeads ${nHeads} is no multiple of nKvHeads ${nKvHeads}`);
  if (workgroupSize % chunks !== 0)
    fail(`workgroupSize ${workgroupSize} is no multiple of headDim / 4 = ${chunks}`);

  const pipeline = await createPipeline(gpu, {
    label: `attention ${spec.cache.format} x${workgroupSize}`,
    shader: new URL("./attention.wgsl", import.meta.url),
    entryPoint: `${spec.cache.format}_cache`,
    bindings: BINDINGS,
    constants: {
      workgroup_size: workgroupSize,
      n_heads: nHeads,
      n_kv_heads: nKvHeads,
      head_dim: headDim,
    },
  });
  const params = uploadBuffer(
    gpu,
    { label: `${label} params`, role: "uniform" },
    Uint32Array.of(
      workgroupSize,
      chunks,
      workgroupSize / chunks,
      splits,
      capacity,
      spec.perceptionSlots,
      spec.perceptionTurns,
      0,
    ),
  );
  const parts =
    splits === 1
      ? spec.out
      : createBuffer(gpu, {
          label: `${label} parts`,
          sizeBytes: spec.maxRows * nHeads * splits * (headDim + 4) * 4,
        });
  const { q, cache, slotPositions, rows, step } = spec;
  const attend = dispatch(
    label,
    pipeline,
    bind(gpu, pipeline, [q, cache.keys, cache.values, slotPositions, rows, parts, params, step]),
    (nRows) => [splits, nKvHeads, Math.ceil((nRows * groupHeads) / QUERY_BLOCK)],
  );
  if (splits === 1) return [attend];
  const mergeSize = 64;
  const merge = await createPipeline(gpu, {
    label: "attention merge",
    shader: new URL("./attention-merge.wgsl", import.meta.url),
    bindings: MERGE_BINDINGS,
    constants: { workgroup_size: mergeSize, n_heads: nHeads, head_dim: headDim },
  });
  const mergeParams = uploadBuffer(
    gpu,
    { label: `${label} merge params`, role: "uniform" },
    Uint32Array.of(splits, 0, 0, 0),
  );
  const bindGroup = bind(gpu, merge, [parts, spec.out, mergeParams, step]);
  const join = dispatch(`${label} merge`, merge, bindGroup, (nRows) => [
    Math.ceil((nRows * nHeads * chunks) / mergeSize),
    1,
    1,
  ]);
  return [attend, join];
}
