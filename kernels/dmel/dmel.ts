import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import { DMEL, melFilters, turnTable } from "./dmel.reference.ts";

export interface DmelSpec {
  label: string;
  /** Frames per run: 4 for 200 ms. */
  frames: number;
  /** (800 + 800 frames) f32 mono at 16 kHz in [-1, 1]: the 800 samples before the stretch, then the stretch. */
  pcm: BufferView;
  /** (frames, 80) u32, written: levels 0 to 15. */
  levels: BufferView;
  workgroupSize?: number;
}

const BINDINGS = ["read", "read", "read", "read", "readWrite"] as const;

/**
 * Prepares the dMel front end in single precision: within one level of the reference, and equal to it where the value
 * is not within 1e-3 of a level of a boundary.
 *
 * @throws RuntimeError "gpu-compile" if the shader is refused.
 */
export async function createDmel(gpu: Gpu, spec: DmelSpec): Promise<Dispatch> {
  const { label, frames } = spec;
  const workgroupSize = spec.workgroupSize ?? 128;
  const pipeline = await createPipeline(gpu, {
    label: `dmel x${workgroupSize}`,
    shader: new URL("./dmel.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: { workgroup_size: workgroupSize },
  });
  const { cos, sin } = turnTable();
  const turns = Float32Array.from({ length: 2 * DMEL.window }, (_, i) => (i % 2 ? sin : cos)[i >> 1]!);
  const filters = melFilters();
  const weights = Float32Array.from(filters.flatMap((filter) => [...filter.weights]));
  const ranges: number[] = [];
  let first = 0;
  for (const filter of filters) {
    ranges.push(filter.firstBin, filter.weights.length, first);
    first += filter.weights.length;
  }
  const bindGroup = bind(gpu, pipeline, [
    spec.pcm,
    uploadBuffer(gpu, { label: `${label} turns` }, turns),
    uploadBuffer(gpu, { label: `${label} filters` }, Uint32Array.from(ranges)),
    uploadBuffer(gpu, { label: `${label} filter weights` }, weights),
    spec.levels,
  ]);
  return dispatch(label, pipeline, bindGroup, () => [frames, 1, 1]);
}
