import { RuntimeError } from "../../src/core/errors.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import type { TensorEntry, TensorFile } from "./tensor-file.ts";

/** Elements of a tensor, row-major. */
export interface ElementRange {
  start: number;
  count: number;
}

/** A file whose elements can also be had as they are stored. */
export interface StoredTensorFile extends TensorFile {
  /**
   * The bytes of elements [start, start + count), newly allocated; of the whole tensor without a range.
   *
   * @throws RuntimeError "invalid-checkpoint", as `read`.
   */
  readStored(name: string, range?: ElementRange): Promise<Uint8Array>;
}

/** Elements of a shape. Beyond 2^53 no longer exact, but never within it again. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** What one call of `read` gives at most, 1 GiB of f32: a larger tensor is read in parts. */
const MAX_READ_ELEMENTS = 2 ** 28;
/** What is decoded at a time, so that what is stored takes little memory beside the f32 values. */
const PIECE_ELEMENTS = 2 ** 18;

/** @throws RuntimeError "invalid-checkpoint" naming file and tensor if there is none of that name. */
export function findTensor<Entry extends TensorEntry>(
  file: { source: string; tensors: ReadonlyMap<string, Entry> },
  name: string,
): Entry {
  const entry = file.tensors.get(name);
  if (entry) return entry;
  throw new RuntimeError("invalid-checkpoint", {
    part: "checkpoint",
    problem: `${file.source}: has no tensor ${name}`,
    remedy: "Use the config.json that belongs to these weights",
  });
}

/**
 * The range that is meant, checked.
 *
 * @param granule Elements that cannot be parted: those of a quantised block.
 * @throws RuntimeError "invalid-checkpoint" if it lies outside the tensor, cuts a block or is too long for one call.
 */
export function rangeOf(
  source: string,
  { name, shape }: TensorEntry,
  range: ElementRange | undefined,
  granule = 1,
): ElementRange {
  const length = elementCount(shape);
  const { start, count } = range ?? { start: 0, count: length };
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(count);
  if (!whole || start < 0 || count < 0 || start + count > length) {
    throw invalidCheckpoint(
      source,
      `${name} has ${length} elements, ${count} from ${start} on were asked for`,
    );
  }
  if (start % granule !== 0 || count % granule !== 0) {
    throw invalidCheckpoint(
      source,
      `${name} is stored in blocks of ${granule}, ${count} from ${start} on cut one`,
    );
  }
  if (count > MAX_READ_ELEMENTS) {
    throw invalidCheckpoint(
      source,
      `${name}: ${count} elements at once, expected at most ${MAX_READ_ELEMENTS}`,
    );
  }
  return { start, count };
}

/**
 * Fills an array of `count` piece by piece.
 *
 * @param fill Called with each piece and the number of elements before it. Pieces are whole multiples of 256 elements,
 *   the last excepted.
 */
export async function decodeInPieces(
  count: number,
  fill: (piece: Float32Array, done: number) => Promise<void>,
): Promise<Float32Array> {
  const out = new Float32Array(count);
  for (let done = 0; done < count; done += PIECE_ELEMENTS) {
    await fill(out.subarray(done, Math.min(done + PIECE_ELEMENTS, count)), done);
  }
  return out;
}
