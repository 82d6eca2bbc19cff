import { expect, it } from "vitest";
import { dequantize, nibble, putNibble } from "../../kernels/blocks.ts";
import {
  fromHalf,
  type Matrix,
  type MatrixFormat,
  type MatrixSource,
  packMatrix,
  quantize,
  quantizeQ4,
  singlePart,
  streamMatrix,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { describeOnGpu, gaussian, readBack } from "./harness.ts";

const FORMATS: readonly MatrixFormat[] = ["f32", "f16", "q8", "q4"];

it("q4: blocks worked by hand", () => {
  const data = new Float32Array(64);
  // The extreme is positive: the scale is negative and the extreme takes nibble 0. -7 takes the last one.
  data.set([8, -7, 0, 1.4, -1.6, -8]);
  const { values, scales } = quantizeQ4(data);
  expect([...scales].map(fromHalf)).toEqual([-1, -0]);
  expect(Array.from({ length: 6 }, (_, i) => nibble(values, i))).toEqual([0, 15, 8, 7, 10, 15]);
  expect(nibble(values, 40)).toBe(8);
  // The layout of a word: elements 0 to 3 are the low nibbles of its bytes, 4 to 7 the high ones.
  expect([...values.subarray(0, 4)]).toEqual([0xa0, 0xff, 0x88, 0x87]);
  expect([...dequantize({ kind: "q4", values, scales }).subarray(0, 6)]).toEqual([8, -7, -0, 1, -2, -7]);
});

it("q4: what is put in comes out again, element by element", () => {
  const values = new Uint8Array(64);
  for (let i = 0; i < 128; i++) putNibble(values, i, (i * 7 + (i >> 4)) % 16);
  for (let i = 0; i < 128; i++) expect(nibble(values, i)).toBe((i * 7 + (i >> 4)) % 16);
});

it("q4: no other nibble of its scale is nearer", () => {
  const data = gaussian(3, 320);
  const blocks = quantizeQ4(data);
  for (const [i, value] of data.entries()) {
    const scale = fromHalf(blocks.scales[Math.floor(i / 32)]!);
    const errors = Array.from({ length: 16 }, (_, n) => Math.abs((n - 8) * scale - value));
    expect(errors[nibble(blocks.values, i)]).toBe(Math.min(...errors));
  }
});

const bytesOf = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

describeOnGpu("matrix", (gpu) => {
  for (const format of FORMATS) {
    for (const kind of ["f32", "q8", "q4"] as const) {
      it(`${format} from ${kind}: streamed in slices and in parts, it lies as if it were uploaded whole`, async () => {
        // Odd many blocks a row: rows come in pairs, the last alone.
        const [rows, cols, sliceElements] = [5, 96, 200];
        const source = sourceOf(kind, rows * cols);
        const spec = { label: "w", rows, cols, format, sliceElements };
        const whole = await read(gpu, uploadMatrix(gpu, spec, source));
        const asked: number[] = [];
        const slice = (first: number, count: number) => {
          asked.push(count);
          return Promise.resolve(rowsOf(source, first * cols, count * cols));
        };
        const streamed = await read(gpu, await streamMatrix(gpu, spec, slice));
        expect(asked).toEqual([2, 2, 1]);
        const rowBytes = { f32: 4, f16: 2, q8: 1, q4: 0.5 }[format] * cols;
        const parts = await streamMatrix(gpu, { ...spec, maxPartBytes: 3 * rowBytes + 16 }, slice);
        expect(parts.parts.map((part) => [part.firstRow, part.rows])).toEqual([
          [0, 3],
          [3, 2],
        ]);
        const inParts = await read(gpu, parts);
        const expected = packMatrix(source, format);
        for (const [name, got] of Object.entries({ whole, streamed, inParts })) {
          expect(got.weights.equals(bytesOf(expected.weights)), name).toBe(true);
          if (format === "q8" || format === "q4")
            expect(got.scales.equals(bytesOf(expected.scales)), name).toBe(true);
        }
      });
    }
  }

  const bad: readonly [string, MatrixFormat, MatrixSource, RegExp][] = [
    ["NaN", "f32", withValue(Number.NaN), /emb\.3: holds NaN at element 37/],
    ["infinity to q8", "q8", withValue(Number.POSITIVE_INFINITY), /emb\.3: holds Infinity at element 37/],
    ["NaN to q4", "q4", withValue(Number.NaN), /emb\.3: holds NaN at element 37/],
    ["what no half holds", "f16", withValue(-70000), /emb\.3: holds -Infinity at element 37/],
    ["what no scale holds", "q4", withValue(2 ** 20), /emb\.3: holds -Infinity at element 32/],
    [
      "a scale of a q8 block",
      "q8",
      { kind: "q8", values: new Int8Array(64), scales: Float32Array.of(1, Number.NaN) },
      /emb\.3: holds NaN at element 32/,
    ],
    [
      "a scale of a q4 block",
      "q4",
      { kind: "q4", values: new Uint8Array(32), scales: Uint16Array.of(0, 0xfc00) },
      /emb\.3: holds -Infinity at element 32/,
    ],
  ];
  for (const [what, format, source, message] of bad) {
    it(`refuses ${what} with the tensor's name`, async () => {
      const spec = { label: "emb.3", rows: 2, cols: 32, format };
      expect(() => uploadMatrix(gpu, spec, source)).toThrow(message);
      const streamed = streamMatrix(gpu, spec, () => Promise.resolve(source));
      await expect(streamed).rejects.toMatchObject({
        code: "invalid-checkpoint",
        message: expect.stringMatching(message),
      });
    });
  }

  it("refuses a slice of another length", async () => {
    const spec = { label: "emb.3", rows: 4, cols: 32, format: "f32" } as const;
    const short = () => Promise.resolve({ kind: "f32", data: new Float32Array(96) } as const);
    await expect(streamMatrix(gpu, spec, short)).rejects.toThrow("emb.3: holds 96 elements, expected 4 x 32");
  });

  it("names a kernel that takes no parts, or not this format", () => {
    const source = { kind: "f32", data: gaussian(1, 256) } as const;
    const spec = { label: "w", rows: 8, cols: 32, format: "f32" } as const;
    const split = uploadMatrix(gpu, { ...spec, maxPartBytes: 600 }, source);
    expect(() => singlePart("logits", split)).toThrow("logits: takes 2 buffers, which this kernel cannot");
    const matrix = uploadMatrix(gpu, { ...spec, format: "q4" }, source);
    expect(() => singlePart("logits", matrix, ["f32", "q8"])).toThrow(
      "logits: is held in q4, this kernel reads f32, q8",
    );
  });

  function withValue(value: number): MatrixSource {
    const data = gaussian(1, 64);
    data[37] = value;
    return { kind: "f32", data };
  }
});

function sourceOf(kind: MatrixSource["kind"], length: number): MatrixSource {
  const data = Float32Array.from({ length }, (_, i) => Math.fround(((i * 2654435761) % 4093) / 4093 - 0.5));
  if (kind === "f32") return { kind, data };
  return kind === "q8" ? quantize(data) : quantizeQ4(data);
}

function rowsOf(source: MatrixSource, start: number, count: number): MatrixSource {
  const end = start + count;
  if (source.kind === "f32") return { kind: "f32", data: source.data.slice(start, end) };
  const [from, to] = [start / 32, end / 32];
  if (source.kind === "q8") {
    return { kind: "q8", values: source.values.slice(start, end), scales: source.scales.slice(from, to) };
  }
  return {
    kind: "q4",
    values: source.values.slice(start / 2, end / 2),
    scales: source.scales.slice(from, to),
  };
}

/** What the parts' buffers hold, one after the other, without what rounds their sizes up. */
async function read(gpu: Gpu, matrix: Matrix): Promise<{ weights: Buffer; scales: Buffer }> {
  await gpu.settle();
  const weights: Buffer[] = [];
  const scales: Buffer[] = [];
  const rowBytes = { f32: 4, f16: 2, q8: 1, q4: 0.5 }[matrix.format] * matrix.cols;
  const scaleBytes = ({ f32: 0, f16: 0, q8: 4, q4: 2 }[matrix.format] * matrix.cols) / 32;
  for (const part of matrix.parts) {
    weights.push(Buffer.from(await readBack(gpu, part.weights)).subarray(0, part.rows * rowBytes));
    scales.push(Buffer.from(await readBack(gpu, part.scales)).subarray(0, part.rows * scaleBytes));
  }
  return { weights: Buffer.concat(weights), scales: Buffer.concat(scales) };
}
