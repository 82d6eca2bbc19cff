import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline, type Pipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { HmlpShape } from "./hmlp.reference.ts";

export interface HmlpSpec extends HmlpShape {
  label: string;
  /** Per fold: (out, t h h channels) row-major, and (out) or, for the last fold, null. */
  layers: readonly { weight: Float32Array; norm: Float32Array | null }[];
  /** (2, height, width, 3) i8, four to a word, the first in the lowest bits: 32 times the network's input. */
  video: BufferView;
  /** (tiles, out of the last fold) f32, written. */
  out: BufferView;
  /** Threads that share the inputs of a neighbourhood. Default: 1 on a software adapter, else 4. */
  inputSplits?: number;
}

const BINDINGS = ["read", "read", "read", "readWrite"] as const;

/** Positions that a thread takes at a time. */
const POSITION_BLOCK = 4;

/** One fold and where its source lies. Strides and sizes in elements. */
interface FoldPlan {
  t: number;
  h: number;
  out: number;
  channels: number;
  outFrames: number;
  outSide: number;
  tilesPerRow: number;
  tileRowStride: number;
  tileStride: number;
  frameStride: number;
  rowStride: number;
}

/** The folds of a stem with their sizes: the first reads the video in place, each later one what the fold before wrote. */
function planFolds({ width, height, tile, folds }: HmlpShape): FoldPlan[] {
  let size = { frames: 2, side: tile, channels: 3 };
  return folds.map((fold, i) => {
    const { frames, side, channels } = size;
    size = { frames: frames / fold.t, side: side / fold.h, channels: fold.out };
    const rowStride = (i === 0 ? width : side) * channels;
    const frameStride = (i === 0 ? height : side) * rowStride;
    return {
      ...fold,
      channels,
      outFrames: size.frames,
      outSide: size.side,
      tilesPerRow: i === 0 ? width / tile : 1,
      tileRowStride: i === 0 ? tile * rowStride : frames * frameStride,
      tileStride: tile * channels,
      frameStride,
      rowStride,
    };
  });
}

/** (out, inputs) row-major to (inputs, out). */
function transpose(weight: Float32Array, out: number): Float32Array {
  const inputs = weight.length / out;
  const transposed = new Float32Array(weight.length);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < inputs; i++) transposed[i * out + o] = weight[o * inputs + i]!;
  }
  return transposed;
}

/**
 * Prepares the video stem: one dispatch per fold, one token per tile of the frame pair.
 *
 * @throws RuntimeError "shape-mismatch" if a weight or norm has another length, "invalid-argument" if the folds do not
 *         fold a tile into one token or a fold's width is no multiple of 4, "gpu-compile" if the shader is refused.
 */
export async function createHmlp(gpu: Gpu, spec: HmlpSpec): Promise<Dispatch[]> {
  const { label, folds, layers } = spec;
  expectLength(label, "layers", layers.length, folds.length);
  const plans = planFolds(spec);
  const last = plans.at(-1);
  if (last?.outFrames !== 1 || last.outSide !== 1) {
    const problem = `the folds leave ${last?.outFrames} frames of side ${last?.outSide}, expected 1 of 1`;
    throw new RuntimeError("invalid-argument", { part: label, problem });
  }
  const tiles = (spec.width * spec.height) / (spec.tile * spec.tile);
  const dispatches: Dispatch[] = [];
  let source = spec.video;
  for (const [i, plan] of plans.entries()) {
    const part = `${label} fold ${i}`;
    const { weight, norm } = layers[i]!;
    const positions = tiles * plan.outFrames * plan.outSide ** 2;
    expectLength(part, "weight", weight.length, plan.out * plan.t * plan.h ** 2 * plan.channels);
    if (norm) expectLength(part, "norm", norm.length, plan.out);
    const isLast = i === plans.length - 1;
    const out = isLast ? spec.out : createBuffer(gpu, { label: part, sizeBytes: positions * plan.out * 4 });
    const pipeline = await compileFold(gpu, spec, part, plan, {
      positions,
      packed: i === 0,
      normalises: norm !== null,
    });
    const bindGroup = bind(gpu, pipeline, [
      source,
      uploadBuffer(gpu, { label: `${part} weight` }, transpose(weight, plan.out)),
      uploadBuffer(gpu, { label: `${part} norm` }, norm ?? new Float32Array(4)),
      out,
    ]);
    const groups = Math.ceil(positions / POSITION_BLOCK);
    dispatches.push(dispatch(part, pipeline, bindGroup, () => [groups, 1, 1]));
    source = out;
  }
  return dispatches;
}

function compileFold(
  gpu: Gpu,
  spec: HmlpSpec,
  part: string,
  plan: FoldPlan,
  kind: { positions: number; packed: boolean; normalises: boolean },
): Promise<Pipeline> {
  const limits = gpu.device.limits;
  const quads = plan.out / 4;
  const fits = Number.isInteger(quads) && quads <= limits.maxComputeInvocationsPerWorkgroup;
  if (!fits) {
    throw new RuntimeError("invalid-argument", {
      part,
      problem: `has ${plan.out} outputs, expected a multiple of 4 up to ${4 * limits.maxComputeInvocationsPerWorkgroup}`,
    });
  }
  // 64 bytes a thread meet in workgroup memory, and no more threads help than a run has inputs.
  const wanted = spec.inputSplits ?? (gpu.adapter.isSoftware ? 1 : 4);
  const threads = Math.min(
    limits.maxComputeInvocationsPerWorkgroup,
    limits.maxComputeWorkgroupStorageSize / 80,
  );
  const inputSplits = Math.max(1, Math.min(wanted, plan.h * plan.channels, Math.floor(threads / quads)));
  return createPipeline(gpu, {
    label: part,
    shader: new URL("./hmlp-fold.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: {
      workgroup_size: quads * inputSplits,
      input_splits: inputSplits,
      packed: kind.packed ? 1 : 0,
      normalises: kind.normalises ? 1 : 0,
      norm_eps: spec.normEps,
      fold_t: plan.t,
      fold_h: plan.h,
      channels: plan.channels,
      outputs: plan.out,
      positions: kind.positions,
      out_frames: plan.outFrames,
      out_side: plan.outSide,
      tiles_per_row: plan.tilesPerRow,
      tile_row_stride: plan.tileRowStride,
      tile_stride: plan.tileStride,
      frame_stride: plan.frameStride,
      row_stride: plan.rowStride,
    },
  });
}
