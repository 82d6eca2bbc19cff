import type { Q4Blocks, Q8Blocks } from "../../kernels/blocks.ts";

/** One tensor of a file, as its header describes it. */
export interface TensorEntry {
  name: string;
  /** Rows first. */
  shape: readonly number[];
  /** As stored: "F32", "F16", "BF16", "I8", "Q8_0", "Q4_0", ... */
  dtype: string;
}

/**
 * A file of tensors that is read in parts: nothing is held in memory but its header, so a file may be larger than memory.
 * What stands in the header has been checked against the file's length before this exists.
 */
export interface TensorFile {
  /** For messages. */
  readonly source: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /**
   * Elements [start, start + count) of a tensor in row-major order, in f32, newly allocated. The whole tensor without a range.
   *
   * @throws RuntimeError "invalid-checkpoint" for a name that is not in the file, a range outside the tensor, one that
   *   cuts a quantised block, or bytes that cannot be read.
   */
  read(name: string, range?: { start: number; count: number }): Promise<Float32Array>;
  /**
   * The same elements as the blocks in which they are stored, so that they reach the device without being rounded again;
   * null for a tensor that is stored otherwise. Only the types Q8_0 and Q4_0 are. Absent from a file that has none.
   *
   * @throws RuntimeError "invalid-checkpoint", as `read`.
   */
  readBlocks?(name: string, range?: { start: number; count: number }): Promise<Q8Blocks | Q4Blocks | null>;
  close(): Promise<void>;
}
