import { attentionCheck } from "../../../kernels/attention/attention.check.ts";
import { type AttentionSpec, createAttention } from "../../../kernels/attention/attention.ts";
import { embeddingSumCheck } from "../../../kernels/embedding-sum/embedding-sum.check.ts";
import { createEmbeddingSum } from "../../../kernels/embedding-sum/embedding-sum.ts";
import { gatedMlpCheck } from "../../../kernels/gated-mlp/gated-mlp.check.ts";
import { createGatedMlp, type GatedMlpSpec } from "../../../kernels/gated-mlp/gated-mlp.ts";
import { logitsSampleCheck } from "../../../kernels/logits-sample/logits-sample.check.ts";
import { createLogitsSample } from "../../../kernels/logits-sample/logits-sample.ts";
import { matmulCheck } from "../../../kernels/matmul/matmul.check.ts";
import { createMatmul, type MatmulSpec } from "../../../kernels/matmul/matmul.ts";
import { qkvRotaryCacheCheck } from "../../../kernels/qkv-rotary-cache/qkv-rotary-cache.check.ts";
import {
  createQkvRotaryCache,
  type QkvRotaryCacheSpec,
} from "../../../kernels/qkv-rotary-cache/qkv-rotary-cache.ts";
import { rmsNormCheck } from "../../../kernels/rms-norm/rms-norm.check.ts";
import { createRmsNorm } from "../../../kernels/rms-norm/rms-norm.ts";
import type { BufferView } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Kernel } from "../../../src/gpu/kernel-check.ts";
import type { NativeConfig } from "../config.ts";
import type { NetworkState } from "./network-state.ts";
import type { LayerWeights, NetworkWeights } from "./weights.ts";

/** Where the rows of a step come from: the host's input block, or the sampler's single row. */
export interface StepViews {
  name: "input" | "decode";
  maxRows: number;
  rows: BufferView;
  step: BufferView;
}

/** The kernels of one pass over rows, prepared. */
export interface Pass {
  embed: Kernel;
  layers: readonly (readonly Kernel[])[];
  choose: readonly Kernel[];
}

/** Prepares the two passes, which differ in where their rows come from. */
export class PassBuilder {
  readonly #gpu: Gpu;
  readonly #config: NativeConfig;
  readonly #weights: NetworkWeights;
  readonly #state: NetworkState;

  constructor(gpu: Gpu, config: NativeConfig, weights: NetworkWeights, state: NetworkState) {
    this.#gpu = gpu;
    this.#config = config;
    this.#weights = weights;
    this.#state = state;
  }

  async build(views: StepViews): Promise<Pass> {
    const { layers } = this.#weights;
    const embed = await this.#embed(views);
    const built: Kernel[][] = [];
    for (const [i, weights] of layers.entries()) built.push(await this.#layer(views, i, weights));
    return { embed, layers: built, choose: await this.#choose(views) };
  }

  async #embed(views: StepViews): Promise<Kernel> {
    const { audio, normEps } = this.#config;
    const { levels, tiles, x } = this.#state;
    const { text, tables } = this.#weights;
    const spec = {
      label: `${views.name} embedding-sum`,
      eps: normEps,
      nChannels: audio.nMels,
      nLevels: audio.nLevels,
      text,
      tables,
      rows: views.rows,
      levels,
      tiles,
      out: x,
      step: views.step,
    };
    return { dispatches: [await createEmbeddingSum(this.#gpu, spec)], check: embeddingSumCheck(spec) };
  }

  /** x += attention_out · attend(qkv · rms(x));  x += down · (silu(gate) · up). */
  async #layer(views: StepViews, i: number, weights: LayerWeights): Promise<Kernel[]> {
    const { normEps: eps, nHeads, nKvHeads, headDim, rotaryLog2, memory } = this.#config;
    const { x, qkv, q, attended, gated, caches, slotPositions, layout } = this.#state;
    const label = (op: string) => `${views.name} layers.${i}.${op}`;
    const { step, rows, maxRows } = views;
    const cache = caches[i]!;
    const shape = { nHeads, nKvHeads, headDim, capacity: layout.capacity };
    return [
      await this.#matmul({
        label: label("qkv"),
        x,
        matrix: weights.qkv,
        norm: { weight: weights.attentionNorm, eps },
        out: qkv,
        accumulate: false,
        step,
      }),
      await this.#append({
        ...shape,
        label: label("qkv-rotary-cache"),
        rotaryLog2,
        qkv,
        rows,
        q,
        cache,
        slotPositions,
        step,
      }),
      await this.#attend({
        ...shape,
        label: label("attention"),
        perceptionSlots: layout.toldStart,
        perceptionTurns: memory.perceptionTurns,
        maxRows,
        q,
        cache,
        slotPositions,
        rows,
        out: attended,
        step,
      }),
      await this.#matmul({
        label: label("attention_out"),
        x: attended,
        matrix: weights.attentionOut,
        out: x,
        accumulate: true,
        step,
      }),
      await this.#gate({
        label: label("gated-mlp"),
        x,
        norm: { weight: weights.mlpNorm, eps },
        gateUp: weights.gateUp,
        out: gated,
        step,
      }),
      await this.#matmul({
        label: label("down"),
        x: gated,
        matrix: weights.down,
        out: x,
        accumulate: true,
        step,
      }),
    ];
  }

  async #choose(views: StepViews): Promise<Kernel[]> {
    const { input, block, decodeRow, decodeStep, x, normed, logits } = this.#state;
    const { step } = views;
    const norm = {
      label: `${views.name} out_norm`,
      cols: this.#config.dim,
      eps: this.#config.normEps,
      x,
      weight: this.#weights.outNorm,
      out: normed,
      step,
    };
    const sample = {
      label: `${views.name} head`,
      x: normed,
      embedding: this.#weights.text,
      bias: this.#weights.headBias,
      step,
      turn: input.turn,
      block,
      decodeRow,
      decodeStep,
      opensBlock: views.name === "input",
      logits,
    };
    return [
      { dispatches: [await createRmsNorm(this.#gpu, norm)], check: rmsNormCheck(norm) },
      { dispatches: await createLogitsSample(this.#gpu, sample), check: logitsSampleCheck(sample) },
    ];
  }

  async #matmul(spec: MatmulSpec): Promise<Kernel> {
    return { dispatches: [await createMatmul(this.#gpu, spec)], check: matmulCheck(spec) };
  }

  async #append(spec: QkvRotaryCacheSpec): Promise<Kernel> {
    return { dispatches: [await createQkvRotaryCache(this.#gpu, spec)], check: qkvRotaryCacheCheck(spec) };
  }

  async #attend(spec: AttentionSpec): Promise<Kernel> {
    return { dispatches: await createAttention(this.#gpu, spec), check: attentionCheck(spec) };
  }

  async #gate(spec: GatedMlpSpec): Promise<Kernel> {
    return { dispatches: [await createGatedMlp(this.#gpu, spec)], check: gatedMlpCheck(spec) };
  }
}
