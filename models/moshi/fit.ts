import { CACHE_BYTES } from "../../kernels/kv-cache.ts";
import { MATRIX_BITS } from "../../kernels/matrix.ts";
import { FRAME_RATE_HZ, type MoshiConfig, type TransformerConfig } from "./config.ts";
import type { WeightFormats } from "./gpu/weights.ts";

/** What a part of a session asks of an adapter for one frame: the language model, the codec, or both. */
export interface FrameCost {
  /** Of weights that are read, by the format that they are held in. */
  weightBytes: Readonly<Record<WeightFormats["temporal"], number>>;
  /** Of keys and values that are read once the window is full. */
  cacheBytes: number;
  dispatches: number;
  /** What weights and caches take on the device. */
  memoryBytes: number;
}

export interface FrameCostOptions {
  formats: WeightFormats;
  /** Frames that a step sees. Default: the configuration's context. */
  window?: number;
  /** Vectors that cross-attention attends to. Default 0. */
  crossLength?: number;
  /** Dispatches that attention over so many slots takes; see `attentionDispatches` of kernels/attention. */
  attentionDispatches: (shape: { headDim: number; capacity: number; maxRows: number }) => number;
}

/** What an adapter does, as measured; see `measureAdapter`. */
export interface AdapterSpeed {
  /** Read and written together, bytes a second. */
  copyBytesPerSecond: number;
  /** One dispatch that waits for the one before it, seconds. */
  dispatchSeconds: number;
  /** Weights that go through a product with one row, bytes a second. */
  matmulBytesPerSecond: Readonly<Record<WeightFormats["temporal"], number>>;
}

/** What embeddings and heads are held in: see `WeightFormats`. */
const fine = (format: WeightFormats["temporal"]) => (format === "f32" ? "f32" : "f16");

/**
 * Reckons one frame from the shapes alone, before there are any weights. Matrices that the adapter must split cost a
 * dispatch more for each part, which is left out.
 */
export function frameCost(config: MoshiConfig, options: FrameCostOptions): FrameCost {
  const { formats, crossLength = 0, window = config.context, attentionDispatches } = options;
  const { temporal, depth, depQ, card, nQ, textCard, textCardOut, demux, extraHeads } = config;
  const weightBytes = { f32: 0, f16: 0, q8: 0, q4: 0 };
  let memoryBytes = 0;
  /** Weights that are read `times` a frame, of which there are `sets`. */
  const add = (elements: number, format: WeightFormats["temporal"], times = 1, sets = times) => {
    weightBytes[format] += (elements * times * MATRIX_BITS[format]) / 8;
    memoryBytes += (elements * sets * MATRIX_BITS[format]) / 8;
  };
  const { dim, nLayers } = temporal;
  const crosses = config.crossAttention !== "none" && crossLength > 0;
  const isGated = config.crossAttention === "gated";
  add(layerElements(temporal), formats.temporal, nLayers);
  if (crosses) add(2 * dim * dim, formats.temporal, nLayers, isGated ? 1 : nLayers);
  if (isGated) {
    // A gate's two matrices in each layer; what makes keys and values of an image stays, and is no frame's business.
    add(2 * dim * Math.floor(dim / 8), formats.temporal, crosses ? nLayers : 0, nLayers);
    add((crosses ? 2 : 4) * dim * dim, formats.temporal, 0, 1);
  }
  if (demux) add(2 * dim * dim, fine(formats.temporal));
  add(textCardOut * dim, fine(formats.temporal));
  add(extraHeads.count * extraHeads.classes * dim, fine(formats.temporal));
  add((nQ * (card + 1) + textCard + 1) * dim, fine(formats.temporal), 0, 1);
  if (depth) {
    add(layerElements(depth) * depth.nLayers, formats.depth, depQ, depth.nWeightSets);
    add(depth.dim * dim, formats.depth, depQ, depth.nWeightSets);
    add(card * depth.dim, fine(formats.depth), depQ);
    const width = depth.lowRank ?? depth.dim;
    add(((depQ - 1) * (card + 1) + textCard + 1) * width, fine(formats.depth), 0, 1);
    if (depth.lowRank !== null) add(depth.dim * depth.lowRank, fine(formats.depth), depQ);
  }
  // As the language model chooses when it is not told.
  const elementBytes = CACHE_BYTES[fine(formats.temporal)];
  const slotBytes = 2 * temporal.nKvHeads * temporal.headDim * elementBytes * nLayers;
  const cacheBytes = slotBytes * (window + (crosses ? crossLength : 0));
  // An image's keys and values are read by every layer, and held once.
  const heldBytes = isGated ? cacheBytes - slotBytes * crossLength * (1 - 1 / nLayers) : cacheBytes;

  // An embedding, six dispatches a layer beside attention's own, and norm, head and draw; see temporal.ts and depth.ts.
  const attention = (shape: TransformerConfig, capacity: number) =>
    attentionDispatches({ headDim: shape.headDim, capacity, maxRows: 1 });
  let dispatches = 1 + nLayers * (5 + attention(temporal, window)) + 3 + (extraHeads.count > 0 ? 1 : 0);
  if (demux) dispatches += 4;
  if (crosses) dispatches += nLayers * ((isGated ? 5 : 3) + attention(temporal, crossLength));
  if (depth) {
    const step = 2 + depth.nLayers * (5 + attention(depth, depQ)) + (depth.outputNorm ? 1 : 0) + 2;
    dispatches += depQ * (step + (depth.lowRank === null ? 0 : 1));
    // The text token of a second stream: one more look-up, through a matrix of its own.
    if (demux) dispatches += 2;
  }
  return { weightBytes, cacheBytes, dispatches, memoryBytes: memoryBytes + heldBytes };
}

/** What both ask together. */
export function addCosts(a: FrameCost, b: FrameCost): FrameCost {
  const of = (format: WeightFormats["temporal"]) => a.weightBytes[format] + b.weightBytes[format];
  return {
    weightBytes: { f32: of("f32"), f16: of("f16"), q8: of("q8"), q4: of("q4") },
    cacheBytes: a.cacheBytes + b.cacheBytes,
    dispatches: a.dispatches + b.dispatches,
    memoryBytes: a.memoryBytes + b.memoryBytes,
  };
}

/** Seconds that a frame takes: every byte through the adapter at its pace, and every dispatch after the one before it. */
export function frameSeconds(cost: FrameCost, speed: AdapterSpeed): number {
  const formats = Object.keys(cost.weightBytes) as WeightFormats["temporal"][];
  const reading = formats
    .filter((format) => cost.weightBytes[format] > 0)
    .reduce((sum, format) => sum + cost.weightBytes[format] / speed.matmulBytesPerSecond[format], 0);
  return reading + cost.cacheBytes / speed.copyBytesPerSecond + cost.dispatches * speed.dispatchSeconds;
}

/** How often faster than the frames come a model is. */
export function realTimeFactor(seconds: number): number {
  return 1 / FRAME_RATE_HZ / seconds;
}

/** Elements of one layer's matrices. */
function layerElements({ dim, nHeads, nKvHeads, headDim, ffDim }: TransformerConfig): number {
  return (2 * nHeads + 2 * nKvHeads) * headDim * dim + 3 * ffDim * dim;
}
