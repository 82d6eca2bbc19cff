import { BLOCK, joinBlocks } from "../../../kernels/blocks.ts";
import {
  columnMultiple,
  type Matrix,
  type MatrixFormat,
  type MatrixSource,
  streamMatrix,
  toFloats,
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
    const { tensor, rows, cols } = range;
    return this.#stream(tensor, rows, cols, format, (first, count) => this.#stored(range, first, count));
  }

  /** Rows of several tensors of equal width, one below the other. */
  stack(label: string, ranges: readonly MatrixRange[], format: MatrixFormat): Promise<Matrix> {
    for (const range of ranges) this.#expectRange(range);
    const cols = ranges[0]!.cols;
    const rows = ranges.reduce((sum, range) => sum + range.rows, 0);
    return this.#stream(label, rows, cols, format, async (first, count) => {
      const sources: MatrixSource[] = [];
      let start = 0;
      for (const range of ranges) {
        const from = Math.max(first, start);
        const to = Math.min(first + count, start + range.rows);
        if (from < to) sources.push(await this.#stored(range, from - start, to - from));
        start += range.rows;
      }
      return joinSources(sources);
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
      const sources: (MatrixSource | ZeroElements)[] = [];
      for (const half of [0, 1]) {
        const from = Math.max(first, half * width);
        const to = Math.min(first + count, (half + 1) * width);
        const end = Math.min(to, half * width + inner);
        if (from < end) sources.push(await this.#stored(linearIn, from - half * (width - inner), end - from));
        if (Math.max(from, end) < to)
          sources.push({ kind: "zeros", count: (to - Math.max(from, end)) * dim });
      }
      return joinSources(sources);
    });
    const down = await this.#stream(names.linearOut, dim, width, format, async (first, count) => {
      const rows = toFloats(await this.#stored(linearOut, first, count));
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

  /** Rows in the blocks in which they are stored, else in full precision. */
  async #stored({ tensor, first: offset = 0, cols }: MatrixRange, first: number, count: number) {
    const elements = { start: (offset + first) * cols, count: count * cols };
    const blocks = await this.#tensors.readBlocks?.(tensor, elements);
    return blocks ?? floats(await this.#tensors.read(tensor, elements));
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

/** Elements that are in whatever form those beside them are. */
interface ZeroElements {
  kind: "zeros";
  count: number;
}

function zeros(kind: MatrixSource["kind"], count: number): MatrixSource {
  switch (kind) {
    case "f32":
      return floats(new Float32Array(count));
    case "q8":
      return { kind, values: new Int8Array(count), scales: new Float32Array(count / BLOCK) };
    case "q4":
      return { kind, values: new Uint8Array(count / 2), scales: new Uint16Array(count / BLOCK) };
    default:
      return kind satisfies never;
  }
}

/** Elements of each after those of the one before: in blocks where all are in blocks of one kind. */
function joinSources(given: readonly (MatrixSource | ZeroElements)[]): MatrixSource {
  const kind = given.find((source) => source.kind !== "zeros")?.kind ?? "f32";
  const sources = given.map((source) => (source.kind === "zeros" ? zeros(kind, source.count) : source));
  const blocks = sources.filter((source) => source.kind !== "f32");
  const joined = blocks.length === sources.length ? joinBlocks(blocks) : null;
  if (joined) return joined;
  const parts = sources.map(toFloats);
  const data = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return floats(data);
}
