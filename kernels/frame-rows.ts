import { RuntimeError } from "../src/core/errors.ts";
import { type BufferView, createBuffer, subview } from "../src/gpu/buffers.ts";
import type { Gpu } from "../src/gpu/device.ts";

/**
 * Rows of one frame behind the last rows of the frames before it: (context + rows, channels) f32, row-major.
 *
 * A causal convolution reads its left context where it lies, directly before the frame. Whoever writes a frame keeps that
 * up: it moves the last `context` rows to the front and then puts the new ones behind them, each thread moving what stands
 * where it is about to write, so that nothing is lost and no dispatch of its own is needed. Before the first frame, and
 * after a reset, all is zero.
 */
export interface FrameRows {
  view: BufferView;
  /** A multiple of 4. */
  channels: number;
  /** Rows kept of the frames before. */
  context: number;
  /** Rows of a frame. */
  rows: number;
}

/** Makes an empty one. @throws RuntimeError "shape-mismatch" if `channels` is no multiple of 4. */
export function createFrameRows(
  gpu: Gpu,
  label: string,
  shape: { channels: number; context: number; rows: number },
): FrameRows {
  const { channels, context, rows } = shape;
  if (channels % 4 !== 0) {
    throw new RuntimeError("shape-mismatch", {
      part: label,
      problem: `has ${channels} channels, expected a multiple of 4`,
    });
  }
  const sizeBytes = (context + rows) * channels * 4;
  return { ...shape, view: createBuffer(gpu, { label, sizeBytes }) };
}

/**
 * The frame alone, without its context.
 *
 * @throws RuntimeError "invalid-argument" if it does not begin on a boundary that can be bound: see `alignedContext`.
 */
export function currentRows({ view, channels, context, rows }: FrameRows): BufferView {
  return subview(view, context * channels * 4, rows * channels * 4);
}

/** The least number of rows, at least `context`, after which a frame begins on a boundary that can be bound (256 bytes). */
export function alignedContext(context: number, channels: number): number {
  let rows = context;
  while ((rows * channels * 4) % 256 !== 0) rows++;
  return rows;
}
