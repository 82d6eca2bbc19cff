import { freemem } from "node:os";
import { attentionDispatches } from "../../kernels/attention/attention.ts";
import { type MatrixFormat, type MatrixSource, quantize, quantizeQ4 } from "../../kernels/matrix.ts";
import { measureAdapter } from "../../models/moshi/adapter-speed.ts";
import type { MoshiConfig } from "../../models/moshi/config.ts";
import { frameCost, frameSeconds } from "../../models/moshi/fit.ts";
import { createLanguageModel } from "../../models/moshi/gpu/gpu-language-model.ts";
import { releasedModel } from "../../models/moshi/released.ts";
import type { TensorEntry, TensorFile } from "../../models/tensors/tensor-file.ts";
import { gaussian } from "../kernels/harness.ts";
import { shapes } from "../models/moshi/gpu/random-checkpoint.ts";
import type { ReferenceConfig } from "../models/moshi/reference/config.ts";
import { benchOnGpu } from "./bench.ts";

/** Frames that are timed, after three that warm up. */
const FRAMES = 10;
const GREEDY = { temperature: 0, topK: 0 };

/** `MODELS=hibiki-1b:q8,stt-1b:q4 npm run bench -- moshi-shapes` takes others. */
const MODELS = process.env.MODELS ?? "stt-1b:q8,hibiki-1b:q8,tts-1.6b:q8,moshi-7b:q8,moshi-7b:q4";

for (const model of MODELS.split(",")) {
  const [name = "", format = "q8"] = model.split(":");
  benchOnGpu(`moshi-shapes ${name} ${format}`, async (gpu) => {
    const released = releasedModel(name);
    if (!released) throw new Error(`${name} is no released model`);
    const { config, crossLength } = released;
    const weights = format as MatrixFormat;
    const cost = frameCost(config, {
      formats: { temporal: weights, depth: weights },
      crossLength,
      attentionDispatches: (shape) => attentionDispatches(gpu, shape),
    });
    if (gpu.adapter.isSoftware && cost.memoryBytes * 1.3 > freemem()) {
      console.log(
        `${name} ${format}: left out, it takes ${giga(cost.memoryBytes)} GB and ${giga(freemem())} are free`,
      );
      return;
    }
    const speed = await measureAdapter(gpu, ["f16", weights]);
    const sees = config.crossAttention === "gated";
    const vectors = gaussian(1, crossLength * config.temporal.dim);
    const conditions = crossLength > 0 && !sees ? { cross: vectors } : {};
    const drawn = { text: GREEDY, audio: GREEDY, seed: 1, conditions };
    const tensors = new PatternTensors(config, weights);
    const network = await createLanguageModel(gpu, config, tensors, {
      format: weights,
      ...drawn,
      ...(sees ? { maxImageTokens: crossLength } : {}),
    });
    const times: number[] = [];
    const tokens = new Int32Array(1 + config.nQ);
    for (let i = -3; i < FRAMES; i++) {
      const startMs = performance.now();
      const image = sees && i === -3 ? { image: vectors } : {};
      const { text, audio } = await network.frame({ tokens, ...image });
      if (i >= 0) times.push(performance.now() - startMs);
      // What was drawn goes in again, so that the frames differ.
      tokens.set([text, ...audio].slice(0, tokens.length));
    }
    await network.close();
    times.sort((a, b) => a - b);
    const medianMs = times[Math.floor(FRAMES / 2)]!;
    const bytes = Object.values(cost.weightBytes).reduce((sum, part) => sum + part, 0);
    // Attention walks the whole ring, also where it is empty yet.
    const reckonedMs = 1000 * frameSeconds(cost, speed);
    console.log(
      [
        `${name} ${format}: ${giga(bytes)} GB a frame, ${cost.dispatches} dispatches`,
        `median ${medianMs.toFixed(1)} ms, worst ${times.at(-1)!.toFixed(1)}, ${(80 / medianMs).toFixed(2)} times real time`,
        `${giga(bytes / (medianMs / 1000))} GB/s, ${Math.round((100 * bytes) / (medianMs / 1000) / speed.copyBytesPerSecond)} % of copying`,
        `reckoned ${reckonedMs.toFixed(1)} ms: ${(medianMs / reckonedMs).toFixed(2)} of it`,
        `${giga(cost.memoryBytes)} GB on the device, loaded through at most ${giga(tensors.mostHostBytes)} GB of arrays`,
        gpu.adapter.name,
      ].join("; "),
    );
  });
}

/**
 * Weights of a model's shapes whose values repeat: what they are makes no difference to its pace. They are made as they are
 * read, and in blocks where they will be held so, as from a file that was quantised before: the host holds a slice.
 */
class PatternTensors implements TensorFile {
  readonly source = "pattern";
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** What arrays took at most when something was read. */
  mostHostBytes = 0;
  readonly #pattern = gaussian(1, 2 ** 16, 0.02);
  readonly #blocks: Exclude<MatrixSource, { kind: "f32" }> | null;

  constructor(config: MoshiConfig, format: MatrixFormat) {
    const entries = shapes(shapeOf(config)).map(([name, shape]): [string, TensorEntry] => [
      name,
      { name, shape, dtype: "F32" },
    ]);
    this.tensors = new Map(entries);
    this.#blocks =
      format === "q8" ? quantize(this.#pattern) : format === "q4" ? quantizeQ4(this.#pattern) : null;
  }

  async read(name: string, range?: { start: number; count: number }): Promise<Float32Array> {
    this.#observe();
    return repeated(this.#pattern, new Float32Array(range?.count ?? this.#length(name)));
  }

  async readBlocks(name: string, range?: { start: number; count: number }) {
    this.#observe();
    const blocks = this.#blocks;
    const count = range?.count ?? this.#length(name);
    // Embeddings, heads and low-rank matrices are held in f16.
    const isHeldSo = /self_attn|gating|depformer_in|cross_attention/.test(name);
    const isWhole = this.tensors.get(name)!.shape.at(-1)! % 32 === 0;
    if (!blocks || !isHeldSo || !isWhole) return null;
    const scales = count / 32;
    if (blocks.kind === "q8") {
      const values = repeated(blocks.values, new Int8Array(count));
      return { kind: blocks.kind, values, scales: repeated(blocks.scales, new Float32Array(scales)) };
    }
    const values = repeated(blocks.values, new Uint8Array(count / 2));
    return { kind: blocks.kind, values, scales: repeated(blocks.scales, new Uint16Array(scales)) };
  }

  async close(): Promise<void> {}

  #length(name: string): number {
    return this.tensors.get(name)!.shape.reduce((product, size) => product * size, 1);
  }

  #observe(): void {
    this.mostHostBytes = Math.max(this.mostHostBytes, process.memoryUsage().arrayBuffers);
  }
}

/** Fills `out` with `pattern`, again and again. */
function repeated<Data extends Float32Array | Int8Array | Uint8Array | Uint16Array>(
  pattern: Data,
  out: Data,
): Data {
  for (let at = 0; at < out.length; at += pattern.length) {
    out.set(pattern.subarray(0, Math.min(pattern.length, out.length - at)), at);
  }
  return out;
}

function shapeOf(config: MoshiConfig): ReferenceConfig {
  const { temporal, depth, rotary } = config;
  return {
    ...config,
    dim: temporal.dim,
    nHeads: temporal.nHeads,
    kvRepeat: temporal.nHeads / temporal.nKvHeads,
    nLayers: temporal.nLayers,
    gatedDim: temporal.ffDim,
    maxPeriod: rotary.maxPeriod,
    ropeHalves: rotary.layout === "halves",
    crossAttention: config.crossAttention,
    depth: {
      dim: depth?.dim ?? 0,
      nHeads: depth?.nHeads ?? 0,
      nLayers: depth?.nLayers ?? 0,
      gatedDim: depth?.ffDim ?? 0,
      schedule: depth?.schedule ?? [],
      lowRank: depth?.lowRank ?? null,
      outputNorm: depth?.outputNorm ?? false,
      window: config.depQ,
    },
  };
}

function giga(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
