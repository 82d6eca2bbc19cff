import { dmelCheck } from "../../../kernels/dmel/dmel.check.ts";
import { createDmel } from "../../../kernels/dmel/dmel.ts";
import { hmlpCheck } from "../../../kernels/hmlp/hmlp.check.ts";
import { createHmlp } from "../../../kernels/hmlp/hmlp.ts";
import { emptySlots } from "../../../kernels/kv-cache.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Kernel, KernelChecker } from "../../../src/gpu/kernel-check.ts";
import { type DispatchTarget, record } from "../../../src/gpu/plan.ts";
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
  readonly #hear: Kernel;
  readonly #see: Kernel;
  readonly #input: Pass;
  readonly #decode: Pass;
  /** All of `#decode`, in order. */
  readonly #decodeStep: readonly Kernel[];

  private constructor(
    gpu: Gpu,
    state: NetworkState,
    parts: { hear: Kernel; see: Kernel; input: Pass; decode: Pass },
  ) {
    this.#gpu = gpu;
    this.state = state;
    this.#hear = parts.hear;
    this.#see = parts.see;
    this.#input = parts.input;
    this.#decode = parts.decode;
    this.#decodeStep = kernelsOf(parts.decode);
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
    const dmel = {
      label: "dmel",
      frames: audioTokenCount(config),
      pcm: input.pcm,
      levels: state.levels,
    };
    const hmlp = {
      ...config.video,
      label: "hmlp",
      layers: weights.folds,
      video: input.video,
      out: state.tiles,
    };
    const network = new Network(gpu, state, {
      hear: { dispatches: [await createDmel(gpu, dmel)], check: dmelCheck(dmel) },
      see: { dispatches: await createHmlp(gpu, hmlp), check: hmlpCheck(hmlp) },
      input: await builder.build(inputViews),
      decode: await builder.build(decodeViews),
    });
    await gpu.settle();
    return network;
  }

  /** Dispatches of one transformer layer in a decode step. */
  get dispatchesPerLayer(): number {
    return countOf(this.#decode.layers[0] ?? []);
  }

  /** Dispatches of a run over an input block, and of one decode step. */
  countDispatches(run: InputRun): { input: number; decodeStep: number } {
    return { input: countOf(this.#inputKernels(run)), decodeStep: countOf(this.#decodeStep) };
  }

  /** Records the run over the input block that `state.input` was written with. */
  recordInput(pass: DispatchTarget, run: InputRun): void {
    for (const { dispatches } of this.#inputKernels(run)) record(pass, dispatches, run.rows);
  }

  /** Records one decode step: the sampler's last token goes in, the next one is chosen. Nothing runs in a closed block. */
  recordDecodeStep(pass: DispatchTarget): void {
    for (const { dispatches } of this.#decodeStep) record(pass, dispatches, 1);
  }

  /** Runs what `recordInput` records, kernel by kernel. @throws RuntimeError "kernel-mismatch". */
  async checkInput(checker: KernelChecker, run: InputRun, where: string): Promise<void> {
    await checker.run(this.#inputKernels(run), run.rows, where);
  }

  /** Runs a decode step of an open block, kernel by kernel. @throws RuntimeError "kernel-mismatch". */
  async checkDecodeStep(checker: KernelChecker, where: string): Promise<void> {
    await checker.run(this.#decodeStep, 1, where);
  }

  /** Forgets the session. */
  reset(): void {
    emptySlots(this.#gpu, this.state.slotPositions);
  }

  #inputKernels({ hears, sees, speaks }: InputRun): readonly Kernel[] {
    const kernels = kernelsOf(speaks ? this.#input : { ...this.#input, choose: [] });
    return [...(hears ? [this.#hear] : []), ...(sees ? [this.#see] : []), ...kernels];
  }
}

function kernelsOf({ embed, layers, choose }: Pass): Kernel[] {
  return [embed, ...layers.flat(), ...choose];
}

function countOf(kernels: readonly Kernel[]): number {
  return kernels.reduce((count, { dispatches }) => count + dispatches.length, 0);
}
