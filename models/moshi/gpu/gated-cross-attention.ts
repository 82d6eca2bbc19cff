import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import { createSigmoidGate } from "../../../kernels/sigmoid-gate/sigmoid-gate.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import { CrossSource } from "./cross-cache.ts";
import type { TemporalSpec } from "./temporal.ts";
import type { Transformer } from "./transformer.ts";
import type { GatedCrossWeights } from "./weights.ts";

/** Gates begin nearly shut (kyutai-labs/moshivis, XAGate). */
const GATE_BIAS = -4;

/** How many of the last layers tell how much an image matters. */
const TELLING_LAYERS = 10;

/**
 * Cross-attention of MoshiVis to an image's tokens, which may change between frames: with
 * y = out · attend(query · RMSNorm(x)), x += sigmoid(widen · max(narrow · y, 0) - 4) · y. Layers share all but norm and gate, so
 * that keys and values are made once per image and lie in one cache.
 */
export class GatedCrossAttention {
  /** By layer: what runs while an image is in sight. */
  readonly dispatches: readonly (readonly Dispatch[])[];
  /** (nLayers, 1) f32: how far each layer's gates were open in the newest frame, on average. */
  readonly openings: BufferView;
  readonly buffers: readonly GPUBuffer[];
  readonly #source: CrossSource;
  readonly #fill: readonly Dispatch[];
  #isSeeing = false;

  private constructor(parts: {
    dispatches: readonly (readonly Dispatch[])[];
    openings: BufferView;
    buffers: readonly GPUBuffer[];
    source: CrossSource;
    fill: readonly Dispatch[];
  }) {
    this.dispatches = parts.dispatches;
    this.openings = parts.openings;
    this.buffers = parts.buffers;
    this.#source = parts.source;
    this.#fill = parts.fill;
  }

  static async create(
    gpu: Gpu,
    transformer: Transformer,
    weights: GatedCrossWeights,
    spec: TemporalSpec,
  ): Promise<GatedCrossAttention> {
    const { sequences, cacheFormat, frame, steps, maxImageTokens } = spec;
    const { temporal } = spec.config;
    const { dim, nHeads, nLayers } = temporal;
    const rows = (label: string, cols: number) =>
      createBuffer(gpu, { label: `cross ${label}`, sizeBytes: sequences * cols * 4 });
    const views = {
      update: rows("update", dim),
      narrow: rows("narrow", Math.floor(dim / 8)),
      logit: rows("logit", dim),
    };
    const openings = createBuffer(gpu, { label: "gate openings", sizeBytes: nLayers * sequences * 4 });
    const source = new CrossSource(gpu, { temporal, sequences, capacity: maxImageTokens, cacheFormat });
    const { slotPositions } = source;
    const { cache, fill } = await source.cache("image", weights.keyValue);
    const at = { nKvHeads: nHeads, capacity: maxImageTokens, slotPositions, rows: frame.rows };
    const step = steps.perSequence;
    const dispatches: Dispatch[][] = [];
    for (const [i, { norm, gate }] of weights.layers.entries()) {
      const label = `layers.${i} cross`;
      const narrow = {
        label: `${label} gate narrow`,
        x: views.update,
        matrix: gate.narrow,
        out: views.narrow,
        accumulate: false,
        step,
      };
      const widen = {
        label: `${label} gate widen`,
        x: views.narrow,
        matrix: gate.widen,
        rectify: true,
        out: views.logit,
        accumulate: false,
        step,
      };
      dispatches.push([
        ...(await transformer.query(`${label} query`, weights.query, { x: transformer.x, norm })),
        ...(await transformer.attendTo(`${label} attention`, cache, at)),
        ...(await transformer.finish(`${label} out`, weights.out, views.update)),
        ...(await createMatmuls(gpu, narrow)),
        ...(await createMatmuls(gpu, widen)),
        await createSigmoidGate(gpu, {
          label: `${label} gate`,
          cols: dim,
          bias: GATE_BIAS,
          logit: views.logit,
          update: views.update,
          x: transformer.x,
          opening: openings,
          place: i,
          maxRows: sequences,
          step,
        }),
      ]);
    }
    const own = [views.update, views.narrow, views.logit, openings, slotPositions, cache.keys, cache.values];
    const buffers = [...own.map(({ buffer }) => buffer), ...source.scratch];
    return new GatedCrossAttention({ dispatches, openings, buffers, source, fill });
  }

  /** Tokens of the largest image. */
  get maxImageTokens(): number {
    return this.#source.capacity;
  }

  /** Whether an image is in sight. */
  get isSeeing(): boolean {
    return this.#isSeeing;
  }

  /** From the next frame on sees this image, or none. @param image (length, dim) of at most `maxImageTokens`. Borrowed. */
  see(image: Float32Array | null): void {
    this.#isSeeing = image !== null;
    if (!image) return;
    this.#source.write(image);
    this.#source.submit(this.#fill);
  }
}

/** How much an image mattered: the mean of the last layers' gates. @param openings (nLayers) of a frame. */
export function meanOpening(openings: Float32Array): number {
  const telling = openings.subarray(-TELLING_LAYERS);
  return telling.reduce((sum, opening) => sum + opening, 0) / telling.length;
}
