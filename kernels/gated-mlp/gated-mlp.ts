import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline, type Pipeline } from "../../src/gpu/pipeline.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { chooseTiling, defaultTilings, type MatmulTiling } from "../matmul/matmul.ts";
import { type Matrix, type MatrixFormat, singlePart } from "../matrix.ts";

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

const BINDINGS = ["read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares `out = silu(gate) · up` with `[gate; up] = gateUp · RMSNorm(x)`.
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold one row or gateUp has an odd number of rows,
 *         "gpu-out-of-memory" if gateUp has more than one part, "gpu-compile" if the shader is refused.
 */
export async function createGatedMlp(gpu: Gpu, spec: GatedMlpSpec): Promise<Dispatch> {
  const { label, gateUp } = spec;
  const outCols = gateUp.rows / 2;
  const { weights, scales } = singlePart(label, gateUp);
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
  const params = Uint32Array.of(gateUp.cols, outCols, 0, 0);
  new Float32Array(params.buffer)[2] = spec.norm.eps;
  const bindGroup = bind(gpu, pipelines[0]!, [
    spec.x,
    spec.norm.weight,
    weights,
    scales,
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
      const workgroups = [Math.ceil(outCols / columns), Math.ceil(rows / rowTile), 1] as const;
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
