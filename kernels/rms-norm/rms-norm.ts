import type { Gpu } from "../../src/gpu/device.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { createRowNorm, type RowNormSpec } from "../row-norm.ts";

export type RmsNormSpec = RowNormSpec;

/**
 * Prepares the norm of a step's rows.
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold one row, "gpu-compile" if the shader is refused.
 */
export function createRmsNorm(gpu: Gpu, spec: RmsNormSpec): Promise<Dispatch> {
  const { x, weight, out } = spec;
  return createRowNorm(gpu, spec, {
    name: "rms-norm",
    withSubgroups: new URL("./rms-norm.wgsl", import.meta.url),
    portable: new URL("./rms-norm-portable.wgsl", import.meta.url),
    buffers: { x, weight, out },
  });
}
