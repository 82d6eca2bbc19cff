import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline, type Pipeline } from "../../src/gpu/pipeline.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { chooseTiling, defaultTilings, type MatmulTiling } from "../matmul/matmul.ts";
import { type Matrix, type MatrixFormat, type MatrixPart, singlePart } from "../matrix.ts";

export interface GatedMlpSpec {
  label: string;
  /** (rows, gateUp.cols) f32, not normalised. */
  x: BufferView;
  /** RMSNorm of x; `weight` is (gateUp.cols) f32. */
  norm: { weight: BufferView; eps: number };
  /** (2 outCols, cols): the gate's rows, then the up's. */
  gateUp: Matrix;
  /** (rows, outCols) f32. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** As for matmul, `rowsPerGroup` counting gates and ups. */
  tilings?: readonly MatmulTiling[];
}

const BINDINGS = ["read", "read", "read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares `out = silu(gate) · up` with `[gate; up] = gateUp · RMSNorm(x)`, for a matrix of one part.
 *
 * @throws RuntimeError "gpu-out-of-memory" if gateUp has more parts, "shape-mismatch" if a buffer cannot hold one row or
 *         gateUp has an odd number of rows, "gpu-compile" if the shader is refused.
 */
export async function createGatedMlp(gpu: Gpu, spec: GatedMlpSpec): Promise<Dispatch> {
  singlePart(spec.label, spec.gateUp);
  const [only] = await createGatedMlps(gpu, spec);
  return only!;
}

/**
 * The same for a matrix of any number of parts: one dispatch for each run of outputs whose gates lie in one part and whose
 * ups lie in one, which may run in any order.
 */
export async function createGatedMlps(gpu: Gpu, spec: GatedMlpSpec): Promise<Dispatch[]> {
  const { label, gateUp } = spec;
  const outCols = gateUp.rows / 2;
  const fail = (problem: string): never => {
    throw new RuntimeError("shape-mismatch", { part: label, problem });
  };
  if (!Number.isInteger(outCols)) fail(`gateUp has ${gateUp.rows} rows, expected as many gates as ups`);
  const widths = { x: gateUp.cols, norm: gateUp.cols, out: outCols };
  const views = { x: spec.x, norm: spec.norm.weight, out: spec.out };
  for (const name of ["x", "norm", "out"] as const) {
    const length = views[name].sizeBytes / 4;
    if (length < widths[name]) fail(`${name} holds ${length} elements, expected rows of ${widths[name]}`);
  }
  const tilings = spec.tilings ?? defaultTilings(gpu);
  const pipelines = await Promise.all(tilings.map((tiling) => compile(gpu, gateUp.format, tiling)));
  return runsOf(gateUp).map((run) => runDispatch(gpu, spec, run, tilings, pipelines));
}

/** Outputs [first, first + count), the part that holds their gates and the one that holds their ups. */
interface Run {
  first: number;
  count: number;
  gate: MatrixPart;
  up: MatrixPart;
}

function runsOf({ rows, parts }: Matrix): Run[] {
  const outCols = rows / 2;
  const cuts = cutsOf(outCols, parts[0]!.rows);
  const holding = (row: number) => parts.find((part) => row < part.firstRow + part.rows)!;
  return cuts.slice(1).map((end, i) => {
    const first = cuts[i]!;
    return { first, count: end - first, gate: holding(first), up: holding(outCols + first) };
  });
}

/** Where a run of outputs begins or ends: wherever a part does, among the gates or among the ups. */
function cutsOf(outCols: number, partRows: number): number[] {
  const cuts = new Set([0, outCols]);
  for (let row = partRows; row < 2 * outCols; row += partRows) cuts.add(row % outCols);
  return [...cuts].sort((a, b) => a - b);
}

function runDispatch(
  gpu: Gpu,
  spec: GatedMlpSpec,
  { first, count, gate, up }: Run,
  tilings: readonly MatmulTiling[],
  pipelines: readonly Pipeline[],
): Dispatch {
  const { label, gateUp } = spec;
  const outCols = gateUp.rows / 2;
  const params = Uint32Array.of(
    gateUp.cols,
    outCols,
    0,
    count,
    first,
    first - gate.firstRow,
    outCols + first - up.firstRow,
    0,
  );
  new Float32Array(params.buffer)[2] = spec.norm.eps;
  const bindGroup = bind(gpu, pipelines[0]!, [
    spec.x,
    spec.norm.weight,
    gate.weights,
    gate.scales,
    up.weights,
    up.scales,
    spec.out,
    uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params),
    spec.step,
  ]);
  const subgroups = gpu.features.has("subgroups");
  return {
    label,
    bindGroup,
    launch: (rows) => {
      const i = chooseTiling(tilings, rows);
      const { rowTile, rowsPerGroup, workgroupSize } = tilings[i]!;
      const columns = subgroups ? rowsPerGroup / 2 : workgroupSize;
      const workgroups = [Math.ceil(count / columns), Math.ceil(rows / rowTile), 1] as const;
      return { pipeline: pipelines[i]!, workgroups };
    },
  };
}

function compile(gpu: Gpu, format: MatrixFormat, tiling: MatmulTiling): Promise<Pipeline> {
  const subgroups = gpu.features.has("subgroups");
  return createPipeline(gpu, {
    label: `gated-mlp ${format} x${tiling.rowTile}`,
    shader: new URL(subgroups ? "./gated-mlp.wgsl" : "./gated-mlp-portable.wgsl", import.meta.url),
    entryPoint: `${format}_weights`,
    bindings: BINDINGS,
    constants: {
      workgroup_size: tiling.workgroupSize,
      row_tile: tiling.rowTile,
      ...(subgroups ? { outputs_per_group: tiling.rowsPerGroup / 2 } : {}),
    },
  });
}
