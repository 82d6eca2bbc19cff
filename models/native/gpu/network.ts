import { createAttention } from "../../../kernels/attention/attention.ts";
import { createDmel } from "../../../kernels/dmel/dmel.ts";
import { createEmbeddingSum } from "../../../kernels/embedding-sum/embedding-sum.ts";
import { createGatedMlp } from "../../../kernels/gated-mlp/gated-mlp.ts";
import { createHmlp } from "../../../kernels/hmlp/hmlp.ts";
import {
  createLayerCache,
  createSlotPositions,
  emptySlots,
  type LayerCache,
} from "../../../kernels/kv-cache.ts";
import { createLogitsSample } from "../../../kernels/logits-sample/logits-sample.ts";
import { createMatmul } from "../../../kernels/matmul/matmul.ts";
import { createQkvRotaryCache } from "../../../kernels/qkv-rotary-cache/qkv-rotary-cache.ts";
import { createRmsNorm } from "../../../kernels/rms-norm/rms-norm.ts";
import { ROW_BYTES, STEP_BYTES } from "../../../kernels/step.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, record } from "../../../src/gpu/plan.ts";
import { audioTokenCount, type NativeConfig, tileCount } from "../config.ts";
import { type CacheLayout, cacheLayout } from "../sequence.ts";
import { InputBuffer } from "./input-buffer.ts";
import type { LayerWeights, NetworkWeights } from "./weights.ts";

/** What a run over an input block consists of. */
export interface InputRun {
  rows: number;
  hears: boolean;
  sees: boolean;
  /** Whether the first output token is chosen at its end. */
  speaks: boolean;
}

/** Where the rows of a step come from: the host's input block, or the sampler's single row. */
interface StepViews {
  name: "input" | "decode";
  maxRows: number;
  rows: BufferView;
  step: BufferView;
}

/** Everything that a session changes, at its fixed size. */
class NetworkState {
  readonly layout: CacheLayout;
  readonly maxRows: number;
  readonly input: InputBuffer;
  readonly decodeRow: BufferView;
  readonly decodeStep: BufferView;
  /** Count of the output block's tokens, then the tokens. */
  readonly block: BufferView;
  readonly levels: BufferView;
  readonly tiles: BufferView;
  readonly x: BufferView;
  readonly normed: BufferView;
  readonly qkv: BufferView;
  readonly q: BufferView;
  readonly attended: BufferView;
  readonly gated: BufferView;
  readonly caches: readonly LayerCache[];
  readonly slotPositions: BufferView;

  constructor(gpu: Gpu, config: NativeConfig) {
    const { dim, nHeads, nKvHeads, headDim, ffDim, limits } = config;
    const nAudio = audioTokenCount(config);
    const nTiles = tileCount(config);
    const buffer = (label: string, words: number) => createBuffer(gpu, { label, sizeBytes: words * 4 });
    this.layout = cacheLayout(config);
    // An output block is read in as rows too, when a session is replayed.
    this.maxRows = Math.max(
      nAudio + nTiles + limits.textTokensPerMicroTurn + 1,
      limits.outputTokensPerMicroTurn,
    );
    this.input = new InputBuffer(gpu, config, this.maxRows);
    this.decodeRow = createBuffer(gpu, { label: "decode row", sizeBytes: ROW_BYTES });
    this.decodeStep = createBuffer(gpu, { label: "decode step", sizeBytes: STEP_BYTES, role: "step" });
    this.block = buffer("output block", 1 + limits.outputTokensPerMicroTurn);
    this.levels = buffer("levels", nAudio * config.audio.nMels);
    this.tiles = buffer("tiles", nTiles * dim);
    this.x = buffer("x", this.maxRows * dim);
    this.normed = buffer("normed", this.maxRows * dim);
    this.qkv = buffer("qkv", this.maxRows * (nHeads + 2 * nKvHeads) * headDim);
    this.q = buffer("q", this.maxRows * nHeads * headDim);
    this.attended = buffer("attended", this.maxRows * nHeads * headDim);
    this.gated = buffer("gated", this.maxRows * ffDim);
    const shape = { nKvHeads, headDim, capacity: this.layout.capacity };
    this.caches = Array.from({ length: config.nLayers }, (_, i) =>
      createLayerCache(gpu, `layers.${i}`, shape),
    );
    this.slotPositions = createSlotPositions(gpu, shape.capacity);
  }
}

/** The dispatches of one pass over rows, prepared. */
interface Pass {
  embed: Dispatch;
  layers: readonly (readonly Dispatch[])[];
  choose: readonly Dispatch[];
}

/**
 * The network on the device: all buffers, pipelines and bind groups, made once. It records runs; whoever holds it
 * submits them.
 */
export class Network {
  readonly state: NetworkState;
  readonly #gpu: Gpu;
  readonly #hear: readonly Dispatch[];
  readonly #see: readonly Dispatch[];
  readonly #input: Pass;
  readonly #decode: Pass;

  private constructor(
    gpu: Gpu,
    state: NetworkState,
    parts: { hear: Dispatch; see: readonly Dispatch[]; input: Pass; decode: Pass },
  ) {
    this.#gpu = gpu;
    this.state = state;
    this.#hear = [parts.hear];
    this.#see = parts.see;
    this.#input = parts.input;
    this.#decode = parts.decode;
  }

  /** @throws RuntimeError "gpu-compile", "gpu-out-of-memory" or "gpu-device-lost", naming the part. */
  static async create(gpu: Gpu, config: NativeConfig, weights: NetworkWeights): Promise<Network> {
    const state = new NetworkState(gpu, config);
    const { input, decodeRow, decodeStep } = state;
    const builder = new PassBuilder(gpu, config, weights, state);
    const inputViews: StepViews = {
      name: "input",
      maxRows: state.maxRows,
      rows: input.rows,
      step: input.step,
    };
    const decodeViews: StepViews = { name: "decode", maxRows: 1, rows: decodeRow, step: decodeStep };
    const network = new Network(gpu, state, {
      hear: await createDmel(gpu, {
        label: "dmel",
        frames: audioTokenCount(config),
        pcm: input.pcm,
        levels: state.levels,
      }),
      see: await createHmlp(gpu, {
        ...config.video,
        label: "hmlp",
        layers: weights.folds,
        video: input.video,
        out: state.tiles,
      }),
      input: await builder.build(inputViews),
      decode: await builder.build(decodeViews),
    });
    await gpu.settle();
    return network;
  }

  /** Dispatches of one transformer layer in a decode step. */
  get dispatchesPerLayer(): number {
    return this.#decode.layers[0]?.length ?? 0;
  }

  /** Dispatches of a run over an input block, and of one decode step. */
  countDispatches(run: InputRun): { input: number; decodeStep: number } {
    const { choose } = this.#decode;
    const layers = this.#decode.layers.flat().length;
    const hears = run.hears ? this.#hear.length : 0;
    const sees = run.sees ? this.#see.length : 0;
    return {
      input: hears + sees + 1 + layers + (run.speaks ? this.#input.choose.length : 0),
      decodeStep: 1 + layers + choose.length,
    };
  }

  /** Records the run over the input block that `state.input` was written with. */
  recordInput(pass: GPUComputePassEncoder, run: InputRun): void {
    if (run.hears) record(pass, this.#hear, run.rows);
    if (run.sees) record(pass, this.#see, run.rows);
    this.#recordPass(pass, this.#input, run.rows, run.speaks);
  }

  /** Records one decode step: the sampler's last token goes in, the next one is chosen. Nothing runs in a closed block. */
  recordDecodeStep(pass: GPUComputePassEncoder): void {
    this.#recordPass(pass, this.#decode, 1, true);
  }

  /** Forgets the session. */
  reset(): void {
    emptySlots(this.#gpu, this.state.slotPositions);
  }

  #recordPass(pass: GPUComputePassEncoder, dispatches: Pass, rows: number, chooses: boolean): void {
    record(pass, [dispatches.embed], rows);
    for (const layer of dispatches.layers) record(pass, layer, rows);
    if (chooses) record(pass, dispatches.choose, rows);
  }
}

/** Prepares the two passes, which differ in where their rows come from. */
class PassBuilder {
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
