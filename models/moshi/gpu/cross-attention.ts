import { createLayerNorm } from "../../../kernels/layer-norm/layer-norm.ts";
import { createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import { CrossSource } from "./cross-cache.ts";
import type { TemporalSpec } from "./temporal.ts";
import type { Transformer } from "./transformer.ts";

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
  const { weights, loader, sequences, cacheFormat, frame, steps } = spec;
  const { temporal } = spec.config;
  const { dim, nHeads } = temporal;
  const source = new CrossSource(gpu, { temporal, sequences, capacity: condition.length, cacheFormat });
  const { capacity, slotPositions } = source;
  source.write(condition.source);
  const normed = createBuffer(gpu, { label: "cross normed", sizeBytes: sequences * dim * 4 });
  const dispatches: Dispatch[][] = [];
  const buffers = [normed.buffer, slotPositions.buffer];
  for (const [i, { cross }] of weights.layers.entries()) {
    if (!cross) continue;
    const label = `layers.${i} cross`;
    const { cache, fill } = await source.cache(label, cross.keyValue);
    source.submit(fill);
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
    const at = { nKvHeads: nHeads, capacity, slotPositions, rows: frame.rows };
    dispatches.push([
      norm,
      ...(await transformer.query(`${label} query`, cross.query, { x: normed })),
      ...(await transformer.attendTo(`${label} attention`, cache, at)),
      ...(await transformer.join(label, cross.out)),
    ]);
  }
  await gpu.device.queue.onSubmittedWorkDone();
  for (const buffer of source.scratch) buffer.destroy();
  return { dispatches, buffers };
}
