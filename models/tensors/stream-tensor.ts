import { type Matrix, type MatrixFormat, streamMatrix } from "../../kernels/matrix.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { elementCount, findTensor } from "./ranges.ts";
import type { TensorFile } from "./tensor-file.ts";

export interface StreamTensorSpec {
  name: string;
  /** How the device is to hold it. */
  format: MatrixFormat;
  /** Rows of a tensor that holds several matrices. Default: all. */
  rows?: { first: number; count: number };
  /** See `MatrixSpec`. */
  maxPartBytes?: number;
  sliceElements?: number;
}

/**
 * Brings a tensor, or some of its rows, to the device in slices; host memory is that of `streamMatrix`. Its first axis are
 * the rows. What is stored in blocks of the wanted format is not rounded again.
 *
 * @throws RuntimeError "invalid-checkpoint" if there is no such tensor, it has no such rows or an element is not finite,
 *   "invalid-argument" if its rows do not fit the format.
 */
export async function streamTensor(gpu: Gpu, file: TensorFile, spec: StreamTensorSpec): Promise<Matrix> {
  const { name, format } = spec;
  const { shape, dtype } = findTensor(file, name);
  const all = shape[0] ?? 1;
  const { first, count } = spec.rows ?? { first: 0, count: all };
  if (!(first >= 0 && count >= 1 && first + count <= all)) {
    throw invalidCheckpoint(file.source, `${name} has ${all} rows, ${count} from ${first} on were asked for`);
  }
  const cols = elementCount(shape) / all;
  const inBlocks = { Q8_0: "q8", Q4_0: "q4" }[dtype] === format;
  const { maxPartBytes, sliceElements } = spec;
  const size = {
    label: name,
    rows: count,
    cols,
    format,
    ...(maxPartBytes === undefined ? {} : { maxPartBytes }),
    ...(sliceElements === undefined ? {} : { sliceElements }),
  };
  return streamMatrix(gpu, size, async (row, rows) => {
    const range = { start: (first + row) * cols, count: rows * cols };
    const blocks = inBlocks ? await file.readBlocks?.(name, range) : null;
    return blocks ?? { kind: "f32", data: await file.read(name, range) };
  });
}
