import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline, type Pipeline } from "../../src/gpu/pipeline.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { type Matrix, type MatrixFormat, type MatrixPart, singlePart } from "../matrix.ts";

/** How the product is cut up. Chosen by the wrapper; a test or a tuner may name another cut. */
export interface MatmulTiling {
  /** Rows of activations that share one reading of the matrix, 1 to 8. */
  rowTile: number;
  workgroupSize: number;
  /** Rows of the matrix per workgroup, a multiple of 4; with subgroups only. */
  rowsPerGroup: number;
}

export interface MatmulSpec {
  label: string;
  /** (rows, matrix.cols) f32. */
  x: BufferView;
  /** (matrix.rows, matrix.cols). */
  matrix: Matrix;
  /** (rows, matrix.rows) f32. Not the buffer of `x`. */
  out: BufferView;
  /** Multiplies with RMSNorm(x) instead of x; `weight` is (matrix.cols) f32. Default: no norm. */
  norm?: { weight: BufferView; eps: number };
  /** Takes max(x, 0) in the place of x. Default: no. */
  rectify?: boolean;
  /** Adds to `out` what it held: a residual connection. */
  accumulate: boolean;
  /** See kernels/step.ts. */
  step: BufferView;
  /** The tilings to choose among by the number of rows. Default: `defaultTilings`. */
  tilings?: readonly MatmulTiling[];
}

const BINDINGS = ["read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Tilings for one row and for several. On llvmpipe three rows cost hardly more than one and five spill; hardware has
 * the registers for more.
 */
export function defaultTilings(gpu: Gpu): MatmulTiling[] {
  const { isSoftware, subgroupMaxSize } = gpu.adapter;
  const workgroupSize = Math.max(32, subgroupMaxSize);
  const subgroups = subgroupMaxSize > 0 ? workgroupSize / subgroupMaxSize : 1;
  return (isSoftware ? [1, 3] : [1, 4, 8]).map((rowTile) => ({
    rowTile,
    workgroupSize,
    rowsPerGroup: 4 * subgroups,
  }));
}

/**
 * Prepares `out = y · matrixᵀ`, or `out += y · matrixᵀ`, with y = x or RMSNorm(x) of x or max(x, 0), for a matrix of one
 * part.
 *
 * @throws RuntimeError "gpu-out-of-memory" if the matrix has more parts, "shape-mismatch" if a buffer cannot hold one
 *         row, "gpu-compile" if the shader is refused.
 */
export async function createMatmul(gpu: Gpu, spec: MatmulSpec): Promise<Dispatch> {
  singlePart(spec.label, spec.matrix);
  const [only] = await createMatmuls(gpu, spec);
  return only!;
}

/**
 * The same for a matrix of any number of parts: one dispatch for each, which may run in any order. For every matrix of
 * which some device could not bind all rows at once.
 */
export async function createMatmuls(gpu: Gpu, spec: MatmulSpec): Promise<Dispatch[]> {
  const { label, matrix } = spec;
  expectRows(label, "x", spec.x, matrix.cols);
  expectRows(label, "out", spec.out, matrix.rows);
  if (spec.norm) expectRows(label, "norm", spec.norm.weight, matrix.cols);
  const tilings = spec.tilings ?? defaultTilings(gpu);
  const pipelines = await Promise.all(
    tilings.map((tiling) =>
      compile(gpu, matrix.format, tiling, {
        normalise: spec.norm !== undefined,
        rectify: spec.rectify ?? false,
      }),
    ),
  );
  return matrix.parts.map((part) => partDispatch(gpu, spec, part, tilings, pipelines));
}

function partDispatch(
  gpu: Gpu,
  spec: MatmulSpec,
  part: MatrixPart,
  tilings: readonly MatmulTiling[],
  pipelines: readonly Pipeline[],
): Dispatch {
  const { label, matrix } = spec;
  const params = Uint32Array.of(
    matrix.cols,
    part.rows,
    spec.accumulate ? 1 : 0,
    0,
    matrix.rows,
    part.firstRow,
    0,
    0,
  );
  new Float32Array(params.buffer)[3] = spec.norm?.eps ?? 0;
  const bindGroup = bind(gpu, pipelines[0]!, [
    spec.x,
    spec.norm?.weight ?? part.scales,
    part.weights,
    part.scales,
    spec.out,
    uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params),
    spec.step,
  ]);
  const perGroup = gpu.features.has("subgroups") ? "rowsPerGroup" : "workgroupSize";
  return {
    label,
    bindGroup,
    launch: (rows) => {
      const i = chooseTiling(tilings, rows);
      const { rowTile, [perGroup]: columns } = tilings[i]!;
      const workgroups = [Math.ceil(part.rows / columns), Math.ceil(rows / rowTile), 1] as const;
      return { pipeline: pipelines[i]!, workgroups };
    },
  };
}

/** The tiling that reads the matrix least often, and among those the one that leaves the fewest rows of a tile idle. */
export function chooseTiling(tilings: readonly MatmulTiling[], rows: number): number {
  let best = 0;
  for (const [i, { rowTile }] of tilings.entries()) {
    const readings = Math.ceil(rows / rowTile);
    const bestReadings = Math.ceil(rows / tilings[best]!.rowTile);
    if (readings < bestReadings || (readings === bestReadings && rowTile < tilings[best]!.rowTile)) best = i;
  }
  return best;
}

function compile(
  gpu: Gpu,
  format: MatrixFormat,
  tiling: MatmulTiling,
  { normalise, rectify }: { normalise: boolean; rectify: boolean },
): Promise<Pipeline> {
  const subgroups = gpu.features.has("subgroups");
  return createPipeline(gpu, {
    label: `${rectify ? "relu + " : ""}${normalise ? "norm + " : ""}matmul ${format} x${tiling.rowTile}`,
    shader: new URL(subgroups ? "./matmul.wgsl" : "./matmul-portable.wgsl", import.meta.url),
    entryPoint: `${format}_weights`,
    bindings: BINDINGS,
    constants: {
      workgroup_size: tiling.workgroupSize,
      row_tile: tiling.rowTile,
      normalise: normalise ? 1 : 0,
      rectify: rectify ? 1 : 0,
      ...(subgroups ? { rows_per_group: tiling.rowsPerGroup } : {}),
    },
  });
}

function expectRows(part: string, name: string, view: BufferView, columns: number): void {
  if (view.sizeBytes >= columns * 4) return;
  throw new RuntimeError("shape-mismatch", {
    part,
    problem: `${name} holds ${view.sizeBytes / 4} elements, expected rows of ${columns}`,
  });
}
