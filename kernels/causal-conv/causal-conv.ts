import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { FrameRows } from "../frame-rows.ts";
import type { ConvWeights } from "./conv-weights.ts";

/** How the work is cut up. Chosen by the wrapper; a test or a tuner may name another cut. */
export interface ConvTiling {
  /** Positions that share one reading of the weights, 1 to 4. */
  tile: number;
  /** Of a workgroup; an item is four outputs at `tile` positions. */
  items: number;
  /** Threads that share an item. */
  splits: number;
}

export interface CausalConvSpec {
  label: string;
  x: FrameRows;
  weights: ConvWeights;
  /** Default 1. */
  stride?: number;
  /** Default 1. */
  dilation?: number;
  /** (positions, weights.outChannels) f32, added. */
  residual?: BufferView;
  /** The result. A frame of it is positions · weights.outChannels elements, however they are cut into rows. */
  out?: FrameRows;
  /** The result through a nonlinearity: it costs least here, where each element is computed once. */
  activated?: FrameRows;
  /** Of `activated`. Default "elu". */
  activation?: "elu" | "gelu";
  /**
   * What stands before the first row of a session is a copy of it, not zeros. `start` is a uniform of 16 bytes of which the
   * first word is 1 in the first frame and 0 in any other. The context must lie within one frame.
   */
  replicate?: { start: BufferView };
  /** Default: `defaultConvTiling`. */
  tiling?: ConvTiling;
}

const FLAGS = { residual: 1, out: 2, activated: 4, gelu: 8, replicate: 16 } as const;

const BINDINGS = ["read", "read", "read", "read", "readWrite", "readWrite", "uniform", "uniform"] as const;

/**
 * Threads a GPU wants to be busy. The few cores of a software adapter are busy with less, and a barrier costs them most.
 */
const BUSY_THREADS = 16384;

/** Positions that share one reading of the weights, of so many in a frame. */
export function convTile(positions: number): ConvTiling["tile"] {
  return positions >= 4 ? 4 : positions >= 2 ? 2 : 1;
}

/** As many threads to an item as keep a GPU busy, as long as each has several inputs of each tap. */
export function defaultConvTiling(
  gpu: Gpu,
  weights: Pick<ConvWeights, "inChannels" | "outChannels">,
  positions: number,
): ConvTiling {
  const tile = convTile(positions);
  if (gpu.adapter.isSoftware) return { tile, items: 8, splits: 1 };
  const items = (Math.ceil(positions / tile) * weights.outChannels) / 4;
  let splits = 1;
  while (splits < 32 && items * splits < BUSY_THREADS && weights.inChannels / 4 >= 4 * splits) splits *= 2;
  return { tile, items: Math.max(8, 64 / splits), splits };
}

/**
 * Prepares a causal convolution of one frame. Launched with any number of rows it computes the whole frame.
 *
 * @throws RuntimeError "shape-mismatch" if rows, channels or a frame's length do not fit each other, "gpu-compile" if the
 *         shader is refused.
 */
export async function createCausalConv(gpu: Gpu, spec: CausalConvSpec): Promise<Dispatch> {
  const { label, x, weights, out, activated } = spec;
  const { stride = 1, dilation = 1 } = spec;
  const positions = x.rows / stride;
  checkShapes(spec, positions);
  const tiling = spec.tiling ?? defaultConvTiling(gpu, weights, positions);
  const pipeline = await createPipeline(gpu, {
    label: `causal-conv x${tiling.tile} /${tiling.splits}`,
    shader: new URL("./causal-conv.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: { ...tiling },
  });
  const quads = weights.outChannels / 4;
  const contextQuads = (rows: FrameRows | undefined) => (rows ? (rows.context * rows.channels) / 4 : 0);
  const flags =
    (spec.residual ? FLAGS.residual : 0) |
    (out ? FLAGS.out : 0) |
    (activated ? FLAGS.activated : 0) |
    (spec.activation === "gelu" ? FLAGS.gelu : 0) |
    (spec.replicate ? FLAGS.replicate : 0);
  const params = Uint32Array.of(
    weights.taps,
    x.channels / 4,
    quads,
    positions,
    stride,
    dilation,
    x.context - neededContext(weights.taps, stride, dilation),
    x.context,
    contextQuads(out),
    contextQuads(activated),
    flags,
    tiling.splits,
  );
  const bias = uploadBuffer(gpu, { label: `${label} bias` }, weights.bias);
  const unused = (name: string) => createBuffer(gpu, { label: `${label} no ${name}`, sizeBytes: 16 });
  const paramsView = uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params);
  const bindGroup = bind(gpu, pipeline, [
    x.view,
    uploadBuffer(gpu, { label }, weights.data),
    bias,
    spec.residual ?? bias,
    out?.view ?? unused("out"),
    activated?.view ?? unused("activated"),
    paramsView,
    spec.replicate?.start ?? paramsView,
  ]);
  const groups = Math.ceil((Math.ceil(positions / tiling.tile) * quads) / tiling.items);
  return dispatch(label, pipeline, bindGroup, () => [groups, 1, 1]);
}

/** Rows of left context that a convolution reads: (taps − 1) dilation + 1 − stride. */
export function neededContext(taps: number, stride: number, dilation: number): number {
  return (taps - 1) * dilation + 1 - stride;
}

function checkShapes(
  { label, x, weights, residual, out, activated, replicate, ...spec }: CausalConvSpec,
  positions: number,
): void {
  const fail = (problem: string): never => {
    throw new RuntimeError("shape-mismatch", { part: label, problem });
  };
  const { stride = 1, dilation = 1 } = spec;
  if (!Number.isInteger(positions))
    fail(`a frame has ${x.rows} rows, expected a multiple of the stride ${stride}`);
  if (x.channels !== weights.inChannels) {
    fail(`x has ${x.channels} channels, the weights take ${weights.inChannels}`);
  }
  const context = neededContext(weights.taps, stride, dilation);
  if (context < 0 || x.context < context) {
    fail(`x keeps ${x.context} rows of context, ${weights.taps} taps at stride ${stride} need ${context}`);
  }
  if (replicate && context > x.rows) {
    fail(`${context} rows of context are to be replicated, a frame has ${x.rows}`);
  }
  const length = positions * weights.outChannels;
  for (const [name, rows] of Object.entries({ out, activated })) {
    if (rows && rows.rows * rows.channels !== length) {
      fail(`a frame of ${name} holds ${rows.rows * rows.channels} elements, expected ${length}`);
    }
  }
  if (residual && residual.sizeBytes < length * 4) {
    fail(`residual holds ${residual.sizeBytes / 4} elements, expected ${length}`);
  }
}
