import { createDmel } from "../../../kernels/dmel/dmel.ts";
import { createHmlp } from "../../../kernels/hmlp/hmlp.ts";
import { emptySlots } from "../../../kernels/kv-cache.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, type DispatchTarget, record } from "../../../src/gpu/plan.ts";
import { audioTokenCount, type NativeConfig } from "../config.ts";
import { NetworkState } from "./network-state.ts";
import { type Pass, PassBuilder, type StepViews } from "./pass.ts";
import type { NetworkWeights } from "./weights.ts";

/** What a run over an input block consists of. */
export interface InputRun {
  rows: number;
  hears: boolean;
  sees: boolean;
  /** Whether the first output token is chosen at its end. */
  speaks: boolean;
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
  recordInput(pass: DispatchTarget, run: InputRun): void {
    if (run.hears) record(pass, this.#hear, run.rows);
    if (run.sees) record(pass, this.#see, run.rows);
    this.#recordPass(pass, this.#input, run.rows, run.speaks);
  }

  /** Records one decode step: the sampler's last token goes in, the next one is chosen. Nothing runs in a closed block. */
  recordDecodeStep(pass: DispatchTarget): void {
    this.#recordPass(pass, this.#decode, 1, true);
  }

  /** Forgets the session. */
  reset(): void {
    emptySlots(this.#gpu, this.state.slotPositions);
  }

  #recordPass(pass: DispatchTarget, dispatches: Pass, rows: number, chooses: boolean): void {
    record(pass, [dispatches.embed], rows);
    for (const layer of dispatches.layers) record(pass, layer, rows);
    if (chooses) record(pass, dispatches.choose, rows);
  }
}
