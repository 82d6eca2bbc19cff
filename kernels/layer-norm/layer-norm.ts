import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";

export interface LayerNormSpec {
  label: string;
  cols: number;
  eps: number;
  /** (rows, cols) f32. */
  x: BufferView;
  /** (cols) f32. */
  weight: BufferView;
  /** (cols) f32. */
  bias: BufferView;
  /** (rows, cols) f32. Not the buffer of `x`. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** A power of two, at least the adapter's largest subgroup. */
  workgroupSize?: number;
}

const BINDINGS = ["read", "read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares the layer norm of a step's rows, mean removed and bias added (unlike rms-norm).
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold one row, "gpu-compile" if the shader is refused.
 */
export async function createLayerNorm(gpu: Gpu, spec: LayerNormSpec): Promise<Dispatch> {
  const { label, cols, x, weight, bias, out } = spec;
  for (const [name, view] of Object.entries({ x, weight, bias, out })) {
    if (view.sizeBytes < cols * 4) {
      throw new RuntimeError("shape-mismatch", {
        part: label,
        problem: `${name} holds ${view.sizeBytes / 4} elements, expected rows of ${cols}`,
      });
    }
  }
  const file = gpu.features.has("subgroups") ? "./layer-norm.wgsl" : "./layer-norm-portable.wgsl";
  const pipeline = await createPipeline(gpu, {
    label: "layer-norm",
    shader: new URL(file, import.meta.url),
    bindings: BINDINGS,
    constants: { workgroup_size: spec.workgroupSize ?? Math.max(32, gpu.adapter.subgroupMaxSize) },
  });
  const params = Uint32Array.of(cols, 0, 0, 0);
  new Float32Array(params.buffer)[1] = spec.eps;
  const paramsView = uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params);
  const bindGroup = bind(gpu, pipeline, [x, weight, bias, out, paramsView, spec.step]);
  return dispatch(label, pipeline, bindGroup, (rows) => [rows, 1, 1]);
}
