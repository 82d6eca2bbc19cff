import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { Q4Blocks, Q8Blocks } from "../../../kernels/blocks.ts";
import { type MatrixFormat, packMatrix } from "../../../kernels/matrix.ts";
import { openGguf } from "../../../models/tensors/gguf.ts";
import { streamTensor } from "../../../models/tensors/stream-tensor.ts";
import type { TensorFile } from "../../../models/tensors/tensor-file.ts";
import { describeOnGpu, readBack } from "../../kernels/harness.ts";

const path = fileURLToPath(new URL("../../fixtures/gguf/blocks.gguf", import.meta.url));

/** A file that notes the most elements that were asked of it at once, and whether they were asked for as blocks. */
class Watched implements TensorFile {
  readonly source: string;
  readonly tensors: TensorFile["tensors"];
  most = 0;
  asBlocks = 0;
  readonly #file: TensorFile;

  constructor(file: TensorFile) {
    this.source = file.source;
    this.tensors = file.tensors;
    this.#file = file;
  }

  read(name: string, range?: { start: number; count: number }): Promise<Float32Array> {
    this.most = Math.max(this.most, range?.count ?? Number.POSITIVE_INFINITY);
    return this.#file.read(name, range);
  }

  async readBlocks(
    name: string,
    range?: { start: number; count: number },
  ): Promise<Q8Blocks | Q4Blocks | null> {
    this.asBlocks++;
    this.most = Math.max(this.most, range?.count ?? Number.POSITIVE_INFINITY);
    return (await this.#file.readBlocks?.(name, range)) ?? null;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

describeOnGpu("stream-tensor", (gpu) => {
  for (const name of ["BF16", "Q8_0", "Q4_0", "Q5_0"]) {
    for (const format of ["f32", "f16", "q8", "q4"] as MatrixFormat[]) {
      it(`${name} to ${format}: rows from the middle, two at a time`, async () => {
        const file = new Watched(await openGguf(path));
        const spec = { name, format, rows: { first: 1, count: 2 }, sliceElements: 64 };
        const matrix = await streamTensor(gpu, file, spec);
        const [part] = matrix.parts;
        expect({ rows: matrix.rows, cols: matrix.cols, parts: matrix.parts.length }).toEqual({
          rows: 2,
          cols: 64,
          parts: 1,
        });
        // Two rows are the least: an odd row of blocks need not end with a word of scales.
        expect(file.most).toBe(128);
        const kept = (name === "Q8_0" && format === "q8") || (name === "Q4_0" && format === "q4");
        expect(file.asBlocks > 0).toBe(kept);
        const whole = await file.read(name);
        const range = { start: 64, count: 128 };
        const source = kept
          ? (await file.readBlocks(name, range))!
          : ({ kind: "f32", data: whole.slice(64, 192) } as const);
        const { weights } = packMatrix(source, format);
        const expected = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
        const actual = Buffer.from(await readBack(gpu, part!.weights)).subarray(0, expected.length);
        expect(actual.equals(expected)).toBe(true);
        await file.close();
      });
    }
  }

  it("names a tensor or rows that are not there", async () => {
    const file = await openGguf(path);
    const stream = (name: string, first: number, count: number) =>
      streamTensor(gpu, file, { name, format: "f32", rows: { first, count } });
    await expect(stream("gone", 0, 1)).rejects.toThrow(/has no tensor gone/);
    await expect(stream("F16", 2, 2)).rejects.toThrow(/F16 has 3 rows, 2 from 2 on were asked for/);
    await expect(stream("F16", -1, 2)).rejects.toThrow(/F16 has 3 rows/);
    await expect(stream("F16", 0, 0)).rejects.toThrow(/F16 has 3 rows/);
    await file.close();
  });
});
