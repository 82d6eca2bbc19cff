import { createCausalConv } from "../../../kernels/causal-conv/causal-conv.ts";
import {
  type ConvWeights,
  convWeights,
  foldedContext,
  foldedConvWeights,
  padded,
} from "../../../kernels/causal-conv/conv-weights.ts";
import { transposedConvWeights } from "../../../kernels/causal-transposed-conv/transposed-conv-weights.ts";
import type { FrameRows } from "../../../kernels/frame-rows.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import { FRAME_SAMPLES, type MimiConfig, positionsPerFrame, SAMPLES_A_ROW } from "./config.ts";
import type { StreamState } from "./stream-state.ts";
import type { MimiTensors } from "./tensors.ts";

/** One layer of the convolutional stacks. Each but the first of a stack takes ELU of what the one before gives. */
export type SeanetLayer = {
  /** Of its tensors: "encoder.model.3". */
  name: string;
  inChannels: number;
  outChannels: number;
  /** Positions of its input in a frame. */
  rows: number;
} & (
  | { kind: "conv"; taps: number; stride: number }
  | { kind: "transposed"; taps: number; stride: number }
  | { kind: "residual"; taps: number; dilation: number; hidden: number }
);

/** encoder.model: from samples to one row a position. */
export function encoderLayers(config: MimiConfig): SeanetLayer[] {
  const { nFilters, ratios, kernelSize, lastKernelSize } = config.seanet;
  const layers: SeanetLayer[] = [];
  let n = 0;
  let channels = nFilters;
  let rows = FRAME_SAMPLES;
  const name = () => `encoder.model.${n++}`;
  const first = {
    kind: "conv",
    taps: kernelSize,
    stride: 1,
    inChannels: 1,
    outChannels: channels,
    rows,
  } as const;
  layers.push({ ...first, name: name() });
  for (const ratio of [...ratios].reverse()) {
    for (const residual of residualLayers(config, channels, rows)) layers.push({ ...residual, name: name() });
    n++; // ELU
    const shape = { taps: 2 * ratio, stride: ratio, inChannels: channels, outChannels: 2 * channels, rows };
    layers.push({ ...shape, kind: "conv", name: name() });
    channels *= 2;
    rows /= ratio;
  }
  n++; // ELU
  const last = {
    taps: lastKernelSize,
    stride: 1,
    inChannels: channels,
    outChannels: config.transformer.dim,
    rows,
  };
  layers.push({ ...last, kind: "conv", name: name() });
  return layers;
}

/** decoder.model: from one row a position to samples. */
export function decoderLayers(config: MimiConfig): SeanetLayer[] {
  const { nFilters, ratios, kernelSize, lastKernelSize } = config.seanet;
  const layers: SeanetLayer[] = [];
  let n = 0;
  let channels = nFilters * 2 ** ratios.length;
  let rows = positionsPerFrame(config);
  const name = () => `decoder.model.${n++}`;
  const first = {
    taps: kernelSize,
    stride: 1,
    inChannels: config.transformer.dim,
    outChannels: channels,
    rows,
  };
  layers.push({ ...first, kind: "conv", name: name() });
  for (const ratio of ratios) {
    n++; // ELU
    const shape = { taps: 2 * ratio, stride: ratio, inChannels: channels, outChannels: channels / 2, rows };
    layers.push({ ...shape, kind: "transposed", name: name() });
    channels /= 2;
    rows *= ratio;
    for (const residual of residualLayers(config, channels, rows)) layers.push({ ...residual, name: name() });
  }
  n++; // ELU
  const last = {
    kind: "conv",
    taps: lastKernelSize,
    stride: 1,
    inChannels: channels,
    outChannels: 1,
    rows,
  } as const;
  layers.push({ ...last, name: name() });
  return layers;
}

function residualLayers({ seanet }: MimiConfig, channels: number, rows: number) {
  return Array.from({ length: seanet.nResidualLayers }, (_, j) => ({
    kind: "residual" as const,
    taps: seanet.residualKernelSize,
    dilation: seanet.dilationBase ** j,
    hidden: channels / seanet.compress,
    inChannels: channels,
    outChannels: channels,
    rows,
  }));
}

/** Rows of left context that a layer reads of its input. */
export function layerContext(layer: SeanetLayer): number {
  const { taps } = layer;
  switch (layer.kind) {
    case "residual":
      return (taps - 1) * layer.dilation;
    case "transposed":
      return Math.ceil(taps / layer.stride) - 1;
    case "conv":
      return isFolded(layer) ? foldedContext(taps, SAMPLES_A_ROW) * SAMPLES_A_ROW : taps - layer.stride;
    default:
      return layer satisfies never;
  }
}

/** Whether a layer reads or writes samples, which stand several to a row. */
export function isFolded({ inChannels, outChannels }: SeanetLayer): boolean {
  return inChannels === 1 || outChannels === 1;
}

/** Prepares the layers of one stack. */
export class SeanetBuilder {
  readonly #gpu: Gpu;
  readonly #tensors: MimiTensors;
  readonly #state: StreamState;

  constructor(gpu: Gpu, tensors: MimiTensors, state: StreamState) {
    this.#gpu = gpu;
    this.#tensors = tensors;
    this.#state = state;
  }

  /**
   * @param input  What the first layer reads, at least its context before the frame.
   * @param output What the last layer writes.
   */
  async build(layers: readonly SeanetLayer[], input: FrameRows, output: FrameRows): Promise<Dispatch[]> {
    const dispatches: Dispatch[] = [];
    let source: LayerRows = { activated: input };
    for (const [i, layer] of layers.entries()) {
      const next = layers[i + 1];
      const target = next ? this.#rowsFor(next) : { out: output };
      dispatches.push(...(await this.#layer(layer, source, target)));
      if (target.activated) source = { activated: target.activated, ...(target.out && { out: target.out }) };
    }
    return dispatches;
  }

  /** What a layer reads: ELU of the layer before, and what is added to its own result if it is residual. */
  #rowsFor(layer: SeanetLayer): Partial<LayerRows> {
    const { name, rows } = layer;
    const channels = padded(layer.inChannels);
    const activated = this.#state.frameRows(`${name} elu`, { channels, context: layerContext(layer), rows });
    if (layer.kind !== "residual") return { activated };
    return { activated, out: this.#state.frameRows(`${name} skip`, { channels, context: 0, rows }) };
  }

  async #layer(layer: SeanetLayer, source: LayerRows, target: Partial<LayerRows>): Promise<Dispatch[]> {
    const { name, inChannels, outChannels, taps } = layer;
    const x = source.activated;
    switch (layer.kind) {
      case "residual":
        return this.#residual(layer, source, target);
      case "transposed": {
        const { stride } = layer;
        const label = `${name}.convtr.convtr`;
        const weights = transposedConvWeights(label, {
          ...{ inChannels, outChannels, taps, stride },
          weight: await this.#tensors.read(`${label}.weight`, [inChannels, outChannels, taps]),
          bias: await this.#tensors.read(`${label}.bias`, [outChannels]),
        });
        return [await createCausalConv(this.#gpu, { label, x, weights, ...target })];
      }
      case "conv": {
        const label = `${name}.conv.conv`;
        const tensor = await this.#tensors.conv(label, { inChannels, outChannels, taps });
        if (!isFolded(layer)) {
          const weights = convWeights(label, tensor);
          return [await createCausalConv(this.#gpu, { label, x, weights, stride: layer.stride, ...target })];
        }
        const weights = foldedConvWeights(label, tensor, SAMPLES_A_ROW);
        return [await createCausalConv(this.#gpu, { label, x: foldRows(x, weights), weights, ...target })];
      }
      default:
        return layer satisfies never;
    }
  }

  /** out = x + conv1x1(elu(conv(elu(x)))). */
  async #residual(
    layer: SeanetLayer & { kind: "residual" },
    source: LayerRows,
    target: Partial<LayerRows>,
  ): Promise<Dispatch[]> {
    const { name, inChannels, outChannels, taps, dilation, hidden, rows } = layer;
    const inner = this.#state.frameRows(`${name} inner`, { channels: padded(hidden), context: 0, rows });
    const [first, second] = [`${name}.block.1.conv.conv`, `${name}.block.3.conv.conv`];
    const widening = { inChannels, outChannels: hidden, taps };
    const narrowing = { inChannels: hidden, outChannels, taps: 1 };
    return [
      await createCausalConv(this.#gpu, {
        label: first,
        x: source.activated,
        weights: convWeights(first, await this.#tensors.conv(first, widening)),
        dilation,
        activated: inner,
      }),
      await createCausalConv(this.#gpu, {
        label: second,
        x: inner,
        weights: convWeights(second, await this.#tensors.conv(second, narrowing)),
        residual: source.out!.view,
        ...target,
      }),
    ];
  }
}

/** What one layer hands to the next. */
interface LayerRows {
  /** What it convolves: ELU of the result, but where a stack begins. */
  activated: FrameRows;
  /** The result itself, where the next layer is residual. */
  out?: FrameRows;
}

/** The same memory in rows of several positions, as the folded weights take them. */
function foldRows(rows: FrameRows, weights: ConvWeights): FrameRows {
  const fold = weights.inChannels / rows.channels;
  return {
    view: rows.view,
    channels: weights.inChannels,
    context: rows.context / fold,
    rows: rows.rows / fold,
  };
}
