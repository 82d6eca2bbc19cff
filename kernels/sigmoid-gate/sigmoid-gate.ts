import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";

export interface SigmoidGateSpec {
  label: string;
  cols: number;
  /** Added to every logit. */
  bias: number;
  /** (rows, cols) f32. */
  logit: BufferView;
  /** (rows, cols) f32. */
  update: BufferView;
  /** (rows, cols) f32, added to. Neither of the two above. */
  x: BufferView;
  /** (places, maxRows) f32, of which row `place` is written: the mean of each row's gates. */
  opening: BufferView;
  place: number;
  /** Rows of the largest step. */
  maxRows: number;
  /** See kernels/step.ts. */
  step: BufferView;
  /** A power of two. */
  workgroupSize?: number;
}

const BINDINGS = ["read", "read", "readWrite", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares `x += sigmoid(logit + bias) · update`, element by element, and tells how far the gates were open.
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold its rows, "gpu-compile" if the shader is refused.
 */
export async function createSigmoidGate(gpu: Gpu, spec: SigmoidGateSpec): Promise<Dispatch> {
  const { label, cols, place, maxRows, logit, update, x, opening } = spec;
  const lengths = { logit: cols, update: cols, x: cols, opening: (place + 1) * maxRows };
  for (const [name, view] of Object.entries({ logit, update, x, opening })) {
    const expected = lengths[name as keyof typeof lengths];
    if (view.sizeBytes >= expected * 4) continue;
    const problem = `${name} holds ${view.sizeBytes / 4} elements, expected ${expected}`;
    throw new RuntimeError("shape-mismatch", { part: label, problem });
  }
  // A software adapter has two or so cores, and its barriers cost least in the smallest workgroups.
  const workgroupSize = spec.workgroupSize ?? (gpu.adapter.isSoftware ? 32 : 256);
  const pipeline = await createPipeline(gpu, {
    label: `sigmoid-gate x${workgroupSize}`,
    shader: new URL("./sigmoid-gate.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: { workgroup_size: workgroupSize },
  });
  const params = Uint32Array.of(cols, 0, place, maxRows);
  new Float32Array(params.buffer)[1] = spec.bias;
  const paramsView = uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params);
  const bindGroup = bind(gpu, pipeline, [logit, update, x, opening, paramsView, spec.step]);
  return dispatch(label, pipeline, bindGroup, (rows) => [rows, 1, 1]);
}
