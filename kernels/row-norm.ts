import { RuntimeError } from "../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../src/gpu/buffers.ts";
import type { Gpu } from "../src/gpu/device.ts";
import { type Access, bind, createPipeline } from "../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../src/gpu/plan.ts";

/** What every norm over rows is given. */
export interface RowNormSpec {
  label: string;
  cols: number;
  eps: number;
  /** (rows, cols) f32. */
  x: BufferView;
  /** (cols) f32. */
  weight: BufferView;
  /** (rows, cols) f32. Not the buffer of `x`. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** A power of two, at least the adapter's largest subgroup. */
  workgroupSize?: number;
}

/** What sets one norm apart. */
export interface RowNormShader {
  name: string;
  withSubgroups: URL;
  portable: URL;
  /** In the order of its bindings, by name for messages; params and step follow. */
  buffers: Readonly<Record<string, BufferView>>;
}

/**
 * Prepares a norm of a step's rows: one workgroup a row.
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold one row, "gpu-compile" if the shader is refused.
 */
export async function createRowNorm(
  gpu: Gpu,
  { label, cols, eps, step, workgroupSize }: RowNormSpec,
  { name, withSubgroups, portable, buffers }: RowNormShader,
): Promise<Dispatch> {
  const views = Object.entries(buffers);
  for (const [buffer, { sizeBytes }] of views) {
    if (sizeBytes < cols * 4) {
      throw new RuntimeError("shape-mismatch", {
        part: label,
        problem: `${buffer} holds ${sizeBytes / 4} elements, expected rows of ${cols}`,
      });
    }
  }
  const pipeline = await createPipeline(gpu, {
    label: name,
    shader: gpu.features.has("subgroups") ? withSubgroups : portable,
    bindings: [
      ...views.map(([buffer]): Access => (buffer === "out" ? "readWrite" : "read")),
      "uniform",
      "uniform",
    ],
    constants: { workgroup_size: workgroupSize ?? Math.max(32, gpu.adapter.subgroupMaxSize) },
  });
  const params = Uint32Array.of(cols, 0, 0, 0);
  new Float32Array(params.buffer)[1] = eps;
  const paramsView = uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params);
  const bindGroup = bind(gpu, pipeline, [...Object.values(buffers), paramsView, step]);
  return dispatch(label, pipeline, bindGroup, (rows) => [rows, 1, 1]);
}
