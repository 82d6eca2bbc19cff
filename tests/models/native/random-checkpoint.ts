import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tensorShapes } from "../../../models/native/checkpoint.ts";
import type { NativeConfig } from "../../../models/native/config.ts";
import { type StoredTensor, safetensorsFile, storeF32 } from "./safetensors-file.ts";

/** A model small enough for plain loops: every region of the memory overflows within a few micro-turns. */
export const TINY_CONFIG: NativeConfig = {
  format: "microturn-native-1",
  name: "native/tiny",
  microTurnMs: 200,
  dim: 32,
  nLayers: 2,
  nHeads: 4,
  nKvHeads: 2,
  headDim: 8,
  ffDim: 64,
  vocabSize: 320,
  normEps: 1e-6,
  rotaryLog2: [3, 7, 12, 18],
  audio: {
    sampleRateHz: 16000,
    hop: 800,
    window: 1600,
    nMels: 80,
    nLevels: 16,
    minLog10: -7,
    maxLog10: 2,
  },
  video: {
    width: 16,
    height: 8,
    tile: 8,
    framesPerMicroTurn: 2,
    normEps: 0.1,
    folds: [
      { t: 1, h: 4, out: 16 },
      { t: 1, h: 2, out: 32 },
      { t: 2, h: 1, out: 32 },
    ],
  },
  memory: { perceptionTurns: 5, toldTokens: 12, saidTokens: 10 },
  limits: { textTokensPerMicroTurn: 8, outputTokensPerMicroTurn: 6 },
  tokens: { pad: 0, next: 1, yield: 2, typed: 3 },
};

/** Uniform numbers in [-1, 1) that depend on nothing but the seed. */
export function seededUniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/**
 * Weights that keep activations near 1, so that every part of the network moves the logits; `<next>` is favoured
 * enough that some output blocks are empty, some short and some reach the cap.
 */
export function randomTensors(config: NativeConfig, seed: number): Map<string, Float32Array> {
  const uniform = seededUniform(seed);
  const tensors = new Map<string, Float32Array>();
  for (const [name, shape] of tensorShapes(config)) {
    const size = shape.reduce((product, n) => product * n, 1);
    const isNorm = name.endsWith("norm");
    const isEmbedding = name.startsWith("embed.") || name === "audio.table";
    let scale = isNorm ? 0.3 : isEmbedding ? 0.4 : Math.sqrt(3 / (shape[1] ?? shape[0]!));
    // The embedding is the head too: larger, and every token would call for itself.
    if (name === "embed.text") scale = 0.15;
    if (name === "head.bias") scale = 0.2;
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = (isNorm ? 1 : 0) + scale * uniform();
    if (name === "head.bias") values[config.tokens.next] = 1.3;
    tensors.set(name, values);
  }
  return tensors;
}

/** The tensors of a config as they would stand in `model.safetensors`, in f32. */
export function randomStoredTensors(config: NativeConfig, seed: number): Map<string, StoredTensor> {
  const shapes = tensorShapes(config);
  const stored = new Map<string, StoredTensor>();
  for (const [name, values] of randomTensors(config, seed)) {
    stored.set(name, storeF32(shapes.get(name)!, values));
  }
  return stored;
}

/**
 * Writes a checkpoint folder of random weights: config.json, model.safetensors (f32) and tokenizer.json.
 *
 * @param directory Created if it is not there.
 */
export async function writeRandomCheckpoint(
  directory: string,
  config: NativeConfig = TINY_CONFIG,
  seed = 1,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "config.json"), JSON.stringify(config));
  await writeFile(join(directory, "model.safetensors"), safetensorsFile(randomStoredTensors(config, seed)));
  await writeFile(join(directory, "tokenizer.json"), JSON.stringify(tinyTokenizer(config.vocabSize)));
}

/**
 * A tokenizer of the shipped one's making: lower case, leading space as ▁, byte fallback. The alphabet and a few
 * merges follow the bytes; ids past them are filler words.
 */
export function tinyTokenizer(vocabSize: number): object {
  const special = ["<pad>", "<next>", "<yield>", "<typed>"];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const letters = [..."▁abcdefghijklmnopqrstuvwxyz0123456789"];
  const merges = [
    ["▁", "1"],
    ["▁", "c"],
    ["o", "u"],
    ["n", "t"],
    ["▁c", "ou"],
    ["▁cou", "nt"],
  ];
  const pieces = [...special, ...bytes, ...letters, ...merges.map((pair) => pair.join(""))];
  if (vocabSize < pieces.length) throw new Error(`a tiny tokenizer needs ${pieces.length} tokens`);
  for (let i = pieces.length; i < vocabSize; i++) pieces.push(`▁w${i}`);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: "Lowercase" },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "ByteFallback" },
        { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
    },
  };
}
