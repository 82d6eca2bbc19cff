import { createLayerCache, type LayerCache } from "../../../kernels/kv-cache.ts";
import { createLayerNorm } from "../../../kernels/layer-norm/layer-norm.ts";
import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import { createRotaryCache } from "../../../kernels/rotary-cache/rotary-cache.ts";
import { packRows } from "../../../kernels/step.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, record } from "../../../src/gpu/plan.ts";
import type { TemporalSpec } from "./temporal.ts";
import type { Transformer } from "./transformer.ts";
import type { CrossWeights } from "./weights.ts";

/** LayerNorm of the family has the usual eps, unlike its RMSNorm. */
export const LAYER_NORM_EPS = 1e-5;

/** What every layer attends to, by sequence. */
export interface CrossCondition {
  /** Rows of each sequence's condition. */
  length: number;
  /** (sequences, length, dim). */
  source: Float32Array;
}

/**
 * Prepares the cross-attention of all layers, x += out · attend(query · LayerNorm(x)). It sees all of the condition at all
 * times, so that keys and values are made here once; the matrices that make them are given back.
 *
 * @returns The dispatches of each layer, and the buffers to be destroyed with the network.
 */
export async function createCrossAttention(
  gpu: Gpu,
  transformer: Transformer,
  condition: CrossCondition,
  spec: TemporalSpec,
): Promise<{ dispatches: readonly (readonly Dispatch[])[]; buffers: readonly GPUBuffer[] }> {
  const { weights, loader, sequences, frame, steps } = spec;
  const { dim, nHeads } = spec.config.temporal;
  const { length } = condition;
  const source = uploadBuffer(gpu, { label: "cross condition" }, condition.source);
  const normed = createBuffer(gpu, { label: "cross normed", sizeBytes: sequences * dim * 4 });
  // All at position 0, which every frame sees.
  const slotPositions = createBuffer(gpu, { label: "cross slot positions", sizeBytes: length * 4 });
  const keyValue = createBuffer(gpu, {
    label: "cross key value",
    sizeBytes: sequences * length * 2 * dim * 4,
  });
  const dispatches: Dispatch[][] = [];
  const buffers = [normed.buffer, slotPositions.buffer];
  for (const [i, { cross }] of weights.layers.entries()) {
    if (!cross) continue;
    const cache = await fillCache(
      gpu,
      `layers.${i} cross`,
      { source, keyValue, slotPositions },
      cross,
      spec,
      length,
    );
    loader.release(cross.keyValue);
    buffers.push(cache.keys.buffer, cache.values.buffer);
    const norm = await createLayerNorm(gpu, {
      label: `layers.${i} norm_cross`,
      cols: dim,
      eps: LAYER_NORM_EPS,
      x: transformer.x,
      weight: cross.norm.weight,
      bias: cross.norm.bias,
      out: normed,
      step: steps.perSequence,
    });
    const at = { nKvHeads: nHeads, capacity: length, slotPositions, rows: frame.rows };
    dispatches.push([
      norm,
      ...(await transformer.query(`layers.${i} cross query`, cross.query, normed)),
      ...(await transformer.attendTo(`layers.${i} cross attention`, cache, at)),
      ...(await transformer.join(`layers.${i} cross`, cross.out)),
    ]);
  }
  await gpu.device.queue.onSubmittedWorkDone();
  source.buffer.destroy();
  keyValue.buffer.destroy();
  return { dispatches, buffers };
}

/** Keys and values of the condition for one layer. */
async function fillCache(
  gpu: Gpu,
  label: string,
  views: { source: BufferView; keyValue: BufferView; slotPositions: BufferView },
  { keyValue: matrix }: CrossWeights,
  { config, sequences }: TemporalSpec,
  length: number,
): Promise<LayerCache> {
  const { nHeads, headDim } = config.temporal;
  const cache = createLayerCache(gpu, label, { nKvHeads: sequences * nHeads, headDim, capacity: length });
  const nRows = sequences * length;
  const rows = Array.from({ length: nRows }, (_, r) => ({
    position: 0,
    cacheSlot: r % length,
    kind: 0,
    index: Math.floor(r / length),
  }));
  const step = uploadBuffer(gpu, { label: "cross step", role: "step" }, Uint32Array.of(nRows, 0, 0, 0));
  const dispatches = [
    ...(await createMatmuls(gpu, {
      label,
      x: views.source,
      matrix,
      out: views.keyValue,
      accumulate: false,
      step,
    })),
    await createRotaryCache(gpu, {
      label,
      nHeads: 0,
      nKvHeads: nHeads,
      headDim,
      capacity: length,
      rotary: null,
      qkv: views.keyValue,
      rows: uploadBuffer(gpu, { label: "cross rows" }, packRows(rows)),
      cache,
      slotPositions: views.slotPositions,
      step,
    }),
  ];
  const encoder = gpu.device.createCommandEncoder({ label });
  const pass = encoder.beginComputePass();
  record(pass, dispatches, nRows);
  pass.end();
  gpu.device.queue.submit([encoder.finish()]);
  return cache;
}
