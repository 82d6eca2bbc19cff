import type { Pipeline } from "./pipeline.ts";

/** What to run for a given number of rows. */
export interface Launch {
  pipeline: Pipeline;
  /** Workgroups in x, y, z. */
  workgroups: readonly [number, number, number];
}

/**
 * One prepared dispatch: buffers bound, pipelines compiled. A kernel's wrapper makes it once, before the first
 * micro-turn; every micro-turn only replays it.
 */
export interface Dispatch {
  readonly label: string;
  readonly bindGroup: GPUBindGroup;
  /** `rows` is the number of rows of activations in this run, at least 1. Allocates nothing on the device. */
  launch(rows: number): Launch;
}

/** A prepared dispatch that always runs the same pipeline. */
export function dispatch(
  label: string,
  pipeline: Pipeline,
  bindGroup: GPUBindGroup,
  workgroups: (rows: number) => readonly [number, number, number],
): Dispatch {
  return { label, bindGroup, launch: (rows) => ({ pipeline, workgroups: workgroups(rows) }) };
}

/** What takes dispatches in: a compute pass, or what stands for one. */
export interface DispatchTarget {
  setPipeline(pipeline: GPUComputePipeline): void;
  setBindGroup(index: number, bindGroup: GPUBindGroup): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
  end(): void;
}

/** Writes `dispatches` into a compute pass, in order. Each sees what those before it wrote. */
export function record(pass: DispatchTarget, dispatches: readonly Dispatch[], rows: number): void {
  let bound: GPUComputePipeline | null = null;
  for (const { bindGroup, launch } of dispatches) {
    const { pipeline, workgroups } = launch(rows);
    if (pipeline.handle !== bound) pass.setPipeline(pipeline.handle);
    bound = pipeline.handle;
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
  }
}
