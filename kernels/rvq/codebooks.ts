import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, writeBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";

/**
 * The centroids of a split residual vector quantiser: codebook 0 is the semantic one, those from 1 on are the acoustic
 * levels.
 */
export interface Codebooks {
  nCodebooks: number;
  /** Centroids of a codebook. */
  bins: number;
  /** Of a centroid, a multiple of 4. */
  dim: number;
  /** (nCodebooks, dim / 4, bins) vec4f: neighbouring centroids lie side by side. */
  centroids: BufferView;
}

/** The least that a centroid's usage counts as: one that was never used would be a division by zero. */
const LEAST_USAGE = 1e-5;

/**
 * The centroids that running sums stand for: embeddingSum / max(usage, 1e-5).
 *
 * @param embeddingSum (bins, dim)
 * @param usage        (bins)
 * @returns            (bins, dim) f32
 */
export function centroidsOf(embeddingSum: Float32Array, usage: Float32Array): Float32Array {
  const dim = embeddingSum.length / usage.length;
  return embeddingSum.map((sum, i) => sum / Math.max(usage[Math.floor(i / dim)]!, LEAST_USAGE));
}

/** Makes room for the centroids. @throws RuntimeError "shape-mismatch" if `dim` is no multiple of 4. */
export function createCodebooks(
  gpu: Gpu,
  label: string,
  shape: { nCodebooks: number; bins: number; dim: number },
): Codebooks {
  const { nCodebooks, bins, dim } = shape;
  if (dim % 4 !== 0) {
    throw new RuntimeError("shape-mismatch", {
      part: label,
      problem: `centroids have ${dim} elements, expected a multiple of 4`,
    });
  }
  return { ...shape, centroids: createBuffer(gpu, { label, sizeBytes: nCodebooks * bins * dim * 4 }) };
}

/** Brings one codebook to the device. @param rows (bins, dim) f32. */
export function writeCodebook(gpu: Gpu, codebooks: Codebooks, index: number, rows: Float32Array): void {
  const { bins, dim, centroids } = codebooks;
  const packed = new Float32Array(bins * dim);
  for (let bin = 0; bin < bins; bin++)
    for (let d = 0; d < dim; d++)
      packed[(Math.floor(d / 4) * bins + bin) * 4 + (d % 4)] = rows[bin * dim + d]!;
  const sizeBytes = packed.byteLength;
  const view = { buffer: centroids.buffer, offset: centroids.offset + index * sizeBytes, sizeBytes };
  writeBuffer(gpu, view, packed);
}
