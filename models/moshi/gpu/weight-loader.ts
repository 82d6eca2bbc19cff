import {
  columnMultiple,
  type Matrix,
  type MatrixFormat,
  type MatrixSource,
  streamMatrix,
} from "../../../kernels/matrix.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";

/** Some rows of a tensor, as a matrix of its own. */
export interface MatrixRange {
  /** (rowsInFile, cols). */
  tensor: string;
  /** Rows of the whole tensor. Default: `first + rows`. */
  rowsInFile?: number;
  /** First row of the matrix. Default 0. */
  first?: number;
  rows: number;
  cols: number;
}

/** Brings a checkpoint's tensors to the device, each in slices, and remembers what it made. */
export class WeightLoader {
  readonly #gpu: Gpu;
  readonly #tensors: TensorFile;
  readonly #buffers: GPUBuffer[] = [];

  constructor(gpu: Gpu, tensors: TensorFile) {
    this.#gpu = gpu;
    this.#tensors = tensors;
  }

  /** All buffers that hold weights, to be destroyed with the network. */
  get buffers(): readonly GPUBuffer[] {
    return this.#buffers;
  }

  /** A tensor of `length` elements, f32. */
  async vector(tensor: string, length: number): Promise<BufferView> {
    this.#expectShape(tensor, 1, length);
    const view = uploadBuffer(this.#gpu, { label: tensor }, await this.#tensors.read(tensor));
    this.#buffers.push(view.buffer);
    return view;
  }

  /**
   * Rows of one tensor. A format whose blocks do not fit the columns gives way to f16. What is stored in blocks of the
   * wanted format is taken as it is.
   */
  matrix(range: MatrixRange, format: MatrixFormat): Promise<Matrix> {
    this.#expectRange(range);
    const { tensor, rows, cols, first: offset = 0 } = range;
    return this.#stream(tensor, rows, cols, format, async (first, count) => {
      const elements = { start: (offset + first) * cols, count: count * cols };
      const blocks = await this.#tensors.readBlocks?.(tensor, elements);
      return blocks ?? floats(await this.#tensors.read(tensor, elements));
    });
  }

  /** Rows of several tensors of equal width, one below the other. */
  stack(label: string, ranges: readonly MatrixRange[], format: MatrixFormat): Promise<Matrix> {
    for (const range of ranges) this.#expectRange(range);
    const cols = ranges[0]!.cols;
    const rows = ranges.reduce((sum, range) => sum + range.rows, 0);
    return this.#stream(label, rows, cols, format, async (first, count) => {
      const out = new Float32Array(count * cols);
      let start = 0;
      for (const range of ranges) {
        const from = Math.max(first, start);
        const to = Math.min(first + count, start + range.rows);
        if (from < to) out.set(await this.#rows(range, from - start, to - from), (from - first) * cols);
        start += range.rows;
      }
      return floats(out);
    });
  }

  /**
   * The two matrices of a gated MLP of inner width `inner`. A width that is no multiple of 4 is filled up with units that
   * give nothing, as kernels read four elements at a time.
   */
  async gatedMlp(
    names: { linearIn: string; linearOut: string },
    dim: number,
    inner: number,
    format: MatrixFormat,
  ): Promise<{ gateUp: Matrix; down: Matrix; width: number }> {
    const width = Math.ceil(inner / 4) * 4;
    const linearIn = { tensor: names.linearIn, rows: 2 * inner, cols: dim };
    const linearOut = { tensor: names.linearOut, rows: dim, cols: inner };
    if (width === inner) {
      const gateUp = await this.matrix(linearIn, format);
      return { gateUp, down: await this.matrix(linearOut, format), width };
    }
    this.#expectRange(linearIn);
    this.#expectRange(linearOut);
    const gateUp = await this.#stream(names.linearIn, 2 * width, dim, format, async (first, count) => {
      const all = await this.#tensors.read(names.linearIn);
      const out = new Float32Array(count * dim);
      for (let row = first; row < first + count; row++) {
        const [half, unit] = [Math.floor(row / width), row % width];
        const at = (half * inner + unit) * dim;
        if (unit < inner) out.set(all.subarray(at, at + dim), (row - first) * dim);
      }
      return floats(out);
    });
    const down = await this.#stream(names.linearOut, dim, width, format, async (first, count) => {
      const rows = await this.#rows(linearOut, first, count);
      const out = new Float32Array(count * width);
      for (let row = 0; row < count; row++)
        out.set(rows.subarray(row * inner, (row + 1) * inner), row * width);
      return floats(out);
    });
    return { gateUp, down, width };
  }

  /** Frees a matrix that is needed no more. What was submitted with it still runs. */
  release(matrix: Matrix): void {
    for (const { weights, scales } of matrix.parts) {
      for (const { buffer } of [weights, scales]) {
        this.#buffers.splice(this.#buffers.indexOf(buffer), 1);
        buffer.destroy();
      }
    }
  }

  async #stream(
    label: string,
    rows: number,
    cols: number,
    wanted: MatrixFormat,
    rowsFrom: (first: number, count: number) => Promise<MatrixSource>,
  ): Promise<Matrix> {
    const format = cols % columnMultiple(wanted) === 0 ? wanted : "f16";
    const matrix = await streamMatrix(this.#gpu, { label, rows, cols, format }, rowsFrom);
    for (const { weights, scales } of matrix.parts) this.#buffers.push(weights.buffer, scales.buffer);
    return matrix;
  }

  #rows(
    { tensor, first: offset = 0, cols }: MatrixRange,
    first: number,
    count: number,
  ): Promise<Float32Array> {
    return this.#tensors.read(tensor, { start: (offset + first) * cols, count: count * cols });
  }

  #expectRange({ tensor, rowsInFile, first = 0, rows, cols }: MatrixRange): void {
    this.#expectShape(tensor, rowsInFile ?? first + rows, cols);
  }

  /** @throws RuntimeError "invalid-checkpoint" unless the tensor's last dimension is `cols` and the others make `rows`. */
  #expectShape(name: string, rows: number, cols: number): void {
    const entry = this.#tensors.tensors.get(name);
    const length = entry?.shape.reduce((product, size) => product * size, 1);
    if (entry?.shape.at(-1) === cols && length === rows * cols) return;
    const expected = rows === 1 ? `(${cols})` : `(${rows}, ${cols})`;
    throw new RuntimeError("invalid-checkpoint", {
      part: this.#tensors.source,
      problem: entry
        ? `${name} is (${entry.shape.join(", ")}), expected ${expected} by the configuration`
        : `has no tensor ${name}`,
    });
  }
}

function floats(data: Float32Array): MatrixSource {
  return { kind: "f32", data };
}
