import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { FrameRows } from "../frame-rows.ts";
import type { Codebooks } from "./codebooks.ts";

export interface RvqSearchSpec {
  label: string;
  codebooks: Codebooks;
  /** (2, dim) f32: what the semantic codebook quantises, then what the acoustic levels do. */
  latents: BufferView;
  /** (nCodebooks) u32, written. */
  codes: BufferView;
  /** Centroids of a workgroup. Default 64. */
  workgroupSize?: number;
}

const SEARCH_BINDINGS = ["read", "read", "readWrite", "readWrite", "readWrite", "uniform"] as const;

/**
 * Prepares the search for a frame's codes: a dispatch for each acoustic level, at least one, and one that settles the last.
 * Distances are summed from differences, which keeps near ties apart better than |c|² / 2 − r · c does.
 *
 * @throws RuntimeError "shape-mismatch" if a buffer cannot hold a frame, "gpu-compile" if the shader is refused.
 */
export async function createRvqSearch(gpu: Gpu, spec: RvqSearchSpec): Promise<Dispatch[]> {
  const { label, codebooks, latents, codes } = spec;
  const { nCodebooks, bins, dim, centroids } = codebooks;
  expectRoom(label, { latents: [latents, 2 * dim], codes: [codes, nCodebooks] });
  const workgroupSize = spec.workgroupSize ?? 64;
  const groups = Math.ceil(bins / workgroupSize);
  const pipelineOf = (entryPoint: "search" | "settle") =>
    createPipeline(gpu, {
      label: `rvq ${entryPoint}`,
      shader: new URL("./rvq-search.wgsl", import.meta.url),
      entryPoint,
      bindings: SEARCH_BINDINGS,
      constants: entryPoint === "search" ? { workgroup_size: workgroupSize, max_quads: dim / 4 } : {},
    });
  const [search, settle] = [await pipelineOf("search"), await pipelineOf("settle")];
  const residuals = createBuffer(gpu, { label: `${label} residuals`, sizeBytes: 2 * dim * 4 });
  const nearest = createBuffer(gpu, { label: `${label} nearest`, sizeBytes: 3 * groups * 8 });
  const bindRound = (round: number) => {
    const params = Uint32Array.of(round, bins, dim / 4, groups, workgroupSize, nCodebooks, 0, 0);
    const view = uploadBuffer(gpu, { label: `${label} ${round} params`, role: "uniform" }, params);
    return bind(gpu, search, [latents, centroids, residuals, nearest, codes, view]);
  };
  const rounds = Math.max(1, nCodebooks - 1);
  const searches = Array.from({ length: rounds }, (_, round) => {
    const nSearched = round === 0 ? Math.min(2, nCodebooks) : 1;
    return dispatch(`${label} ${round}`, search, bindRound(round), () => [groups, nSearched, 1]);
  });
  const settled = dispatch(`${label} settle`, settle, bindRound(rounds - 1), () => [1, 1, 1]);
  return [...searches, settled];
}

export interface RvqSumSpec {
  label: string;
  codebooks: Codebooks;
  /** u32, from the frame's first code on. */
  codes: BufferView;
  /** A uniform of 16 bytes: how many codes there are, at most nCodebooks, and the index of the first in `codes`. */
  frame: BufferView;
  /** One row of 2 dim channels a frame: the semantic centroid, then the sum of the acoustic ones. */
  out: FrameRows;
}

const SUM_BINDINGS = ["read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares the sums of the centroids that a frame's codes name. A code outside its codebook adds nothing.
 *
 * @throws RuntimeError "shape-mismatch" if `out` has other rows, "gpu-compile" if the shader is refused.
 */
export async function createRvqSum(gpu: Gpu, spec: RvqSumSpec): Promise<Dispatch> {
  const { label, codebooks, codes, frame, out } = spec;
  const { bins, dim, nCodebooks, centroids } = codebooks;
  if (out.rows !== 1 || out.channels !== 2 * dim) {
    throw new RuntimeError("shape-mismatch", {
      part: label,
      problem: `a frame of out is ${out.rows} x ${out.channels}, expected 1 x ${2 * dim}`,
    });
  }
  const workgroupSize = 64;
  const pipeline = await createPipeline(gpu, {
    label: "rvq sum",
    shader: new URL("./rvq-sum.wgsl", import.meta.url),
    bindings: SUM_BINDINGS,
    constants: { workgroup_size: workgroupSize },
  });
  const params = Uint32Array.of(bins, dim / 4, out.context, nCodebooks);
  const view = uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params);
  const bindGroup = bind(gpu, pipeline, [codes, centroids, out.view, view, frame]);
  return dispatch(label, pipeline, bindGroup, () => [Math.ceil(dim / 2 / workgroupSize), 1, 1]);
}

function expectRoom(part: string, views: Record<string, readonly [BufferView, number]>): void {
  for (const [name, [view, length]] of Object.entries(views)) {
    if (view.sizeBytes >= length * 4) continue;
    throw new RuntimeError("shape-mismatch", {
      part,
      problem: `${name} holds ${view.sizeBytes / 4} elements, expected ${length}`,
    });
  }
}
