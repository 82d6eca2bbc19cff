import type { BufferView } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { createRowNorm, type RowNormSpec } from "../row-norm.ts";

export interface LayerNormSpec extends RowNormSpec {
  /** (cols) f32. */
  bias: BufferView;
}

/**
 * Prepares the layer norm of a step's rows, mean removed and bias added (unlike rms-norm).
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold one row, "gpu-compile" if the shader is refused.
 */
export function createLayerNorm(gpu: Gpu, spec: LayerNormSpec): Promise<Dispatch> {
  const { x, weight, bias, out } = spec;
  return createRowNorm(gpu, spec, {
    name: "layer-norm",
    withSubgroups: new URL("./layer-norm.wgsl", import.meta.url),
    portable: new URL("./layer-norm-portable.wgsl", import.meta.url),
    buffers: { x, weight, bias, out },
  });
}
