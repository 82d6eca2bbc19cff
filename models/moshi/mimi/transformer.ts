import { createAttention } from "../../../kernels/attention/attention.ts";
import { createCausalConv } from "../../../kernels/causal-conv/causal-conv.ts";
import { convWeights } from "../../../kernels/causal-conv/conv-weights.ts";
import type { FrameRows } from "../../../kernels/frame-rows.ts";
import { createLayerNorm } from "../../../kernels/layer-norm/layer-norm.ts";
import { createMatmul } from "../../../kernels/matmul/matmul.ts";
import { type Matrix, uploadMatrix } from "../../../kernels/matrix.ts";
import { createRotaryCache } from "../../../kernels/rotary-cache/rotary-cache.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import { type MimiConfig, positionsPerFrame } from "./config.ts";
import type { StreamState } from "./stream-state.ts";
import type { MimiTensors } from "./tensors.ts";

const NORM_EPS = 1e-5;

export interface TransformerSpec {
  /** Of its tensors: "encoder_transformer". */
  prefix: string;
  config: MimiConfig;
  tensors: MimiTensors;
  state: StreamState;
  /** (positions, dim) f32. */
  x: BufferView;
}

/** What the layers of one transformer share. */
interface Scratch {
  normed: FrameRows;
  qkv: BufferView;
  q: BufferView;
  attended: BufferView;
  inner: FrameRows;
}

/**
 * Prepares a transformer over the positions of a frame, in place:
 *
 *   x += scale_1 ∘ out_proj · attend(in_proj · norm1(x));  x += scale_2 ∘ linear2 · gelu(linear1 · norm2(x))
 *
 * All positions of a frame are put into the cache before any of them attends, so once the cache is full the first of them
 * no longer sees as many keys as the last: the published codec does so when it streams.
 */
export async function buildTransformer(gpu: Gpu, spec: TransformerSpec): Promise<Dispatch[]> {
  const { prefix, config, state } = spec;
  const { dim, ffDim, nLayers } = config.transformer;
  const rows = positionsPerFrame(config);
  const buffer = (name: string, width: number) =>
    createBuffer(gpu, { label: `${prefix} ${name}`, sizeBytes: rows * width * 4 });
  const scratch: Scratch = {
    normed: state.frameRows(`${prefix} normed`, { channels: dim, context: 0, rows }),
    qkv: buffer("qkv", 3 * dim),
    q: buffer("q", dim),
    attended: buffer("attended", dim),
    inner: state.frameRows(`${prefix} inner`, { channels: ffDim, context: 0, rows }),
  };
  const dispatches: Dispatch[] = [];
  for (let i = 0; i < nLayers; i++) {
    const name = `${prefix}.transformer.layers.${i}`;
    dispatches.push(...(await attentionBlock(gpu, spec, scratch, name)));
    dispatches.push(...(await mlpBlock(gpu, spec, scratch, name)));
  }
  return dispatches;
}

async function attentionBlock(
  gpu: Gpu,
  { config, tensors, state, x }: TransformerSpec,
  { normed, qkv, q, attended }: Scratch,
  name: string,
): Promise<Dispatch[]> {
  const { dim, nHeads, context: capacity, maxPeriod } = config.transformer;
  const headDim = dim / nHeads;
  const { step, rows, slotPositions } = state;
  const shape = { nHeads, nKvHeads: nHeads, headDim, capacity };
  const cache = state.layerCache(name, { nHeads, headDim });
  const inProj = await tensors.read(`${name}.self_attn.in_proj_weight`, [3 * dim, dim]);
  const outProj = await tensors.scaledMatrix(
    `${name}.self_attn.out_proj.weight`,
    `${name}.layer_scale_1.scale`,
    [dim, dim],
  );
  return [
    await norm(gpu, { config, tensors, state, x }, normed, `${name}.norm1`),
    await createMatmul(gpu, {
      label: `${name} qkv`,
      x: normed.view,
      matrix: matrixOf(gpu, `${name} in_proj`, [3 * dim, dim], inProj),
      out: qkv,
      accumulate: false,
      step,
    }),
    await createRotaryCache(gpu, {
      ...shape,
      label: `${name} rotary-cache`,
      rotary: { layout: "interleaved", maxPeriod },
      qkv,
      rows,
      q,
      cache,
      slotPositions,
      step,
    }),
    ...(await createAttention(gpu, {
      ...shape,
      label: `${name} attention`,
      perceptionSlots: 0,
      perceptionTurns: 0,
      maxRows: positionsPerFrame(config),
      q,
      cache,
      slotPositions,
      rows,
      out: attended,
      step,
    })),
    await createMatmul(gpu, {
      label: `${name} attention out`,
      x: attended,
      matrix: matrixOf(gpu, `${name} out_proj`, [dim, dim], outProj),
      out: x,
      accumulate: true,
      step,
    }),
  ];
}

async function mlpBlock(
  gpu: Gpu,
  spec: TransformerSpec,
  { normed, inner }: Scratch,
  name: string,
): Promise<Dispatch[]> {
  const { config, tensors, state, x } = spec;
  const { dim, ffDim } = config.transformer;
  const linear1 = {
    ...{ inChannels: dim, outChannels: ffDim, taps: 1, bias: null },
    weight: await tensors.read(`${name}.linear1.weight`, [ffDim, dim]),
  };
  const linear2 = await tensors.scaledMatrix(`${name}.linear2.weight`, `${name}.layer_scale_2.scale`, [
    dim,
    ffDim,
  ]);
  return [
    await norm(gpu, spec, normed, `${name}.norm2`),
    await createCausalConv(gpu, {
      label: `${name}.linear1`,
      x: normed,
      weights: convWeights(`${name}.linear1`, linear1),
      activated: inner,
      activation: "gelu",
    }),
    await createMatmul(gpu, {
      label: `${name}.linear2`,
      x: inner.view,
      matrix: matrixOf(gpu, `${name}.linear2`, [dim, ffDim], linear2),
      out: x,
      accumulate: true,
      step: state.step,
    }),
  ];
}

async function norm(
  gpu: Gpu,
  { config, tensors, state, x }: Omit<TransformerSpec, "prefix">,
  out: FrameRows,
  name: string,
): Promise<Dispatch> {
  const cols = config.transformer.dim;
  const vector = async (part: string) =>
    uploadBuffer(gpu, { label: `${name}.${part}` }, await tensors.read(`${name}.${part}`, [cols]));
  return createLayerNorm(gpu, {
    label: name,
    cols,
    eps: NORM_EPS,
    x,
    weight: await vector("weight"),
    bias: await vector("bias"),
    out: out.view,
    step: state.step,
  });
}

function matrixOf(
  gpu: Gpu,
  label: string,
  [rows, cols]: readonly [number, number],
  data: Float32Array,
): Matrix {
  return uploadMatrix(gpu, { label, rows, cols, format: "f32" }, { kind: "f32", data });
}
