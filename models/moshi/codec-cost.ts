import { convTile } from "../../kernels/causal-conv/causal-conv.ts";
import { foldedContext, padded } from "../../kernels/causal-conv/conv-weights.ts";
import { codebooksOf, type MoshiConfig } from "./config.ts";
import type { FrameCost, FrameCostOptions } from "./fit.ts";
import { type MimiConfig, positionsPerFrame, RELEASED_MIMI, SAMPLES_A_ROW } from "./mimi/config.ts";
import { decoderLayers, encoderLayers, isFolded, type SeanetLayer } from "./mimi/seanet.ts";
import { VOICE_CODEBOOKS } from "./personaplex.ts";

/** What of the codec a model needs. */
export interface CodecUse {
  /** Whether it hears, and whether it speaks. Both directions are held either way. */
  encodes: boolean;
  decodes: boolean;
  nCodebooks: number;
}

/** Speech to text only hears, text to speech only speaks. */
export function codecUse(config: MoshiConfig): CodecUse {
  const { modelType, nQ, depQ } = config;
  // PersonaPlex predicts the codes of both speakers, and only one of them sounds.
  const predictsBoth = modelType === "moshi" && depQ === nQ;
  return {
    encodes: modelType !== "tts",
    decodes: modelType !== "stt",
    nCodebooks: predictsBoth ? VOICE_CODEBOOKS : codebooksOf(config),
  };
}

/** Weights that are read in one frame, and those that are held. */
interface Weights {
  read: number;
  held: number;
}

/**
 * Reckons one frame of the codec from its sizes alone, as `frameCost` does of the language model. A convolution's weights
 * count once for each tile of positions that reads them, as if nothing kept them in between.
 */
export function codecCost(
  use: CodecUse,
  attentionDispatches: FrameCostOptions["attentionDispatches"],
  config: MimiConfig = RELEASED_MIMI,
): FrameCost {
  const { nLayers, dim, nHeads, context } = config.transformer;
  const positions = positionsPerFrame(config);
  const { dim: inner, bins } = config.quantizer;
  const rounds = Math.max(1, use.nCodebooks - 1);
  const codebooks = use.nCodebooks * bins * inner;
  const encoder = sum([
    ...encoderLayers(config).map(layerWeights),
    transformerWeights(config),
    // Downsampling, the quantiser's projection, and a search through every codebook, which both directions share.
    once(2 * positions * dim * dim + 2 * inner * dim),
    { read: codebooks, held: codebooks },
  ]);
  // The quantiser's projection and the upsampling after it are one convolution; centroids are looked up.
  const decoder = sum([
    once(2 * (2 * inner) * positions * dim),
    transformerWeights(config),
    ...decoderLayers(config).map(layerWeights),
  ]);
  const cacheBytes = 2 * dim * context * nLayers * 4;
  const attention = attentionDispatches({ headDim: dim / nHeads, capacity: context, maxRows: positions });
  const shared = nLayers * (7 + attention);
  const directions = [
    {
      runs: use.encodes,
      read: encoder.read,
      dispatches: convs(encoderLayers(config)) + shared + 2 + rounds + 1,
    },
    { runs: use.decodes, read: decoder.read, dispatches: 2 + shared + convs(decoderLayers(config)) },
  ].filter(({ runs }) => runs);
  return {
    weightBytes: { f32: 4 * directions.reduce((bytes, { read }) => bytes + read, 0), f16: 0, q8: 0, q4: 0 },
    cacheBytes: cacheBytes * directions.length,
    dispatches: directions.reduce((count, { dispatches }) => count + dispatches, 0),
    memoryBytes: 4 * (encoder.held + decoder.held) + 2 * cacheBytes,
  };
}

/** A layer's kernels; see mimi/seanet.ts. */
function convs(layers: readonly SeanetLayer[]): number {
  return layers.reduce((count, { kind }) => count + (kind === "residual" ? 2 : 1), 0);
}

function layerWeights(layer: SeanetLayer): Weights {
  const { taps, rows } = layer;
  const [inputs, outputs] = [padded(layer.inChannels), padded(layer.outChannels)];
  switch (layer.kind) {
    case "residual":
      return tiled(taps * inputs * padded(layer.hidden) + padded(layer.hidden) * outputs, rows);
    case "transposed":
      return tiled(Math.ceil(taps / layer.stride) * inputs * layer.stride * outputs, rows);
    case "conv": {
      if (!isFolded(layer)) return tiled(taps * inputs * outputs, rows / layer.stride);
      const width = (channels: number) => SAMPLES_A_ROW * (channels === 1 ? 1 : padded(channels));
      const folds = foldedContext(taps, SAMPLES_A_ROW) + 1;
      return tiled(folds * width(layer.inChannels) * width(layer.outChannels), rows / SAMPLES_A_ROW);
    }
    default:
      return layer satisfies never;
  }
}

function transformerWeights(config: MimiConfig): Weights {
  const { dim, ffDim, nLayers } = config.transformer;
  const matrices = once(4 * dim * dim + dim * ffDim);
  const layer = sum([matrices, tiled(dim * ffDim, positionsPerFrame(config))]);
  return { read: nLayers * layer.read, held: nLayers * layer.held };
}

/** Weights of a convolution that gives so many positions. */
function tiled(held: number, positions: number): Weights {
  return { held, read: held * Math.ceil(positions / convTile(positions)) };
}

function once(held: number): Weights {
  return { held, read: held };
}

function sum(parts: readonly Weights[]): Weights {
  return {
    read: parts.reduce((all, { read }) => all + read, 0),
    held: parts.reduce((all, { held }) => all + held, 0),
  };
}
