import { createAttention } from "../../../kernels/attention/attention.ts";
import { createEmbeddingSum } from "../../../kernels/embedding-sum/embedding-sum.ts";
import { createGatedMlp } from "../../../kernels/gated-mlp/gated-mlp.ts";
import { createLogitsSample } from "../../../kernels/logits-sample/logits-sample.ts";
import { createMatmul } from "../../../kernels/matmul/matmul.ts";
import { createQkvRotaryCache } from "../../../kernels/qkv-rotary-cache/qkv-rotary-cache.ts";
import { createRmsNorm } from "../../../kernels/rms-norm/rms-norm.ts";
import type { BufferView } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
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

/** The dispatches of one pass over rows, prepared. */
export interface Pass {
  embed: Dispatch;
  layers: readonly (readonly Dispatch[])[];
  choose: readonly Dispatch[];
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
    const { audio, normEps } = this.#config;
    const { levels, tiles, x } = this.#state;
    const { text, tables, layers } = this.#weights;
    const embed = await createEmbeddingSum(this.#gpu, {
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
    });
    const built: Dispatch[][] = [];
    for (const [i, weights] of layers.entries()) built.push(await this.#layer(views, i, weights));
    return { embed, layers: built, choose: await this.#choose(views) };
  }

  /** x += attention_out · attend(qkv · rms(x));  x += down · (silu(gate) · up). */
  async #layer(views: StepViews, i: number, weights: LayerWeights): Promise<Dispatch[]> {
    const gpu = this.#gpu;
    const { normEps: eps, nHeads, nKvHeads, headDim, rotaryLog2, memory } = this.#config;
    const { x, qkv, q, attended, gated, caches, slotPositions, layout } = this.#state;
    const label = (op: string) => `${views.name} layers.${i}.${op}`;
    const { step, rows } = views;
    const cache = caches[i]!;
    const shape = { nHeads, nKvHeads, headDim, capacity: layout.capacity };
    return [
      await createMatmul(gpu, {
        label: label("qkv"),
        x,
        matrix: weights.qkv,
        norm: { weight: weights.attentionNorm, eps },
        out: qkv,
        accumulate: false,
        step,
      }),
      await createQkvRotaryCache(gpu, {
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
      ...(await createAttention(gpu, {
        ...shape,
        label: label("attention"),
        perceptionSlots: layout.toldStart,
        perceptionTurns: memory.perceptionTurns,
        maxRows: views.maxRows,
        q,
        cache,
        slotPositions,
        rows,
        out: attended,
        step,
      })),
      await createMatmul(gpu, {
        label: label("attention_out"),
        x: attended,
        matrix: weights.attentionOut,
        out: x,
        accumulate: true,
        step,
      }),
      await createGatedMlp(gpu, {
        label: label("gated-mlp"),
        x,
        norm: { weight: weights.mlpNorm, eps },
        gateUp: weights.gateUp,
        out: gated,
        step,
      }),
      await createMatmul(gpu, {
        label: label("down"),
        x: gated,
        matrix: weights.down,
        out: x,
        accumulate: true,
        step,
      }),
    ];
  }

  async #choose(views: StepViews): Promise<Dispatch[]> {
    const { input, block, decodeRow, decodeStep, x, normed } = this.#state;
    const { step } = views;
    const norm = await createRmsNorm(this.#gpu, {
      label: `${views.name} out_norm`,
      cols: this.#config.dim,
      eps: this.#config.normEps,
      x,
      weight: this.#weights.outNorm,
      out: normed,
      step,
    });
    const sample = await createLogitsSample(this.#gpu, {
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
    });
    return [norm, ...sample];
  }
}
