import { expect, it } from "vitest";
import { matmulReference } from "../../kernels/matmul/matmul.reference.ts";
import { chooseTiling, createMatmul, createMatmuls, defaultTilings } from "../../kernels/matmul/matmul.ts";
import {
  fromHalf,
  type MatrixFormat,
  type MatrixSource,
  quantize,
  quantizeQ4,
  toFloats,
  toHalf,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import { rmsNormReference } from "../../kernels/rms-norm/rms-norm.reference.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32 sums of unit normal products: the rounding error of a sum of k terms is about sqrt(k) · 2^-24, times its spread. */
const sumLimit = (cols: number) => ({ absolute: 8 * cols * 2 ** -24, relative: 2 ** -20 });

/** The source's elements as they are after conversion, so that the product alone is judged. */
function stored(source: Float32Array, format: MatrixFormat): MatrixSource {
  if (format === "q8") return quantize(source);
  if (format === "q4") return quantizeQ4(source);
  const data = format === "f16" ? source.map((value) => fromHalf(toHalf(value))) : source;
  return { kind: "f32", data };
}

interface Case {
  rows: number;
  cols: number;
  outCols: number;
  format: MatrixFormat;
  accumulate?: boolean;
  norm?: boolean;
  rectify?: boolean;
  tiling?: { rowTile: number; workgroupSize: number; rowsPerGroup: number };
  /** Rows of the buffers beyond those that the step runs. */
  spareRows?: number;
  /** What a part of the matrix takes at most. */
  maxPartBytes?: number;
}

async function check(gpu: Gpu, c: Case): Promise<void> {
  const spare = c.spareRows ?? 0;
  const x = gaussian(1, (c.rows + spare) * c.cols);
  const source = stored(gaussian(2, c.outCols * c.cols), c.format);
  const base = gaussian(3, (c.rows + spare) * c.outCols);
  const out = output(gpu, "out", base.length, c.accumulate ? base : undefined);
  const norm = gaussian(5, c.cols);
  const { outCols, cols, format, maxPartBytes } = c;
  const size = { rows: outCols, cols, format, ...(maxPartBytes === undefined ? {} : { maxPartBytes }) };
  const matmuls = await createMatmuls(gpu, {
    label: "matmul",
    x: input(gpu, "x", x),
    matrix: uploadMatrix(gpu, { label: "w", ...size }, source),
    out: out.view,
    accumulate: c.accumulate ?? false,
    step: step(gpu, c.rows),
    ...(c.norm ? { norm: { weight: input(gpu, "norm", norm), eps: 0.5 } } : {}),
    ...(c.rectify ? { rectify: true } : {}),
    ...(c.tiling ? { tilings: [c.tiling] } : {}),
  });
  if (maxPartBytes !== undefined) expect(matmuls.length).toBeGreaterThan(1);
  await run(gpu, matmuls, c.rows);
  const actual = await out.f32();
  const given = x.subarray(0, c.rows * c.cols);
  const live = c.rectify ? given.map((value) => Math.max(value, 0)) : given;
  const expected = matmulReference(
    c.norm ? rmsNormReference(live, norm, 0.5) : live,
    toFloats(source),
    c.cols,
    c.accumulate ? base.subarray(0, c.rows * c.outCols) : null,
  );
  expectClose(actual.subarray(0, expected.length), expected, sumLimit(c.cols));
  const untouched = c.accumulate
    ? base.subarray(expected.length)
    : new Float32Array(spare * c.outCols).fill(NaN);
  expect([...actual.subarray(expected.length)]).toEqual([...untouched]);
}

const FORMATS: readonly MatrixFormat[] = ["f32", "f16", "q8", "q4"];

it("matmul reference: a product worked by hand", () => {
  // [1 2] · [3 4; 5 6; 7 8]ᵀ = [11 17 23]
  expect([...matmulReference([1, 2], [3, 4, 5, 6, 7, 8], 2)]).toEqual([11, 17, 23]);
  expect([...matmulReference([1, 2], [3, 4], 2, [100])]).toEqual([111]);
});

it("matmul reference: onnxruntime's MatMul", async () => {
  const [rows, cols, outCols] = [5, 48, 33];
  const x = gaussian(1, rows * cols);
  const w = gaussian(2, outCols * cols);
  const graph = new OnnxGraph();
  const across = graph.node("Transpose", [graph.constant("w", "float32", [outCols, cols], w)]);
  graph.output(
    graph.node("MatMul", [graph.input("x", "float32", [rows, cols]), across], { name: "y" }),
    "float32",
    [rows, outCols],
  );
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  expectClose(theirs, matmulReference(x, w, cols), sumLimit(cols));
});

it("q8: onnxruntime's MatMulNBits reads the blocks as the same matrix", async () => {
  const [rows, cols, outCols] = [2, 64, 7];
  const x = gaussian(1, rows * cols);
  const blocks = quantize(gaussian(2, outCols * cols));
  const graph = new OnnxGraph();
  // Theirs are unsigned about a zero point of 128.
  const bytes = Uint8Array.from(blocks.values, (value) => value + 128);
  const b = graph.constant("b", "uint8", [outCols, cols / 32, 32], bytes);
  const s = graph.constant("s", "float32", [(outCols * cols) / 32], blocks.scales);
  const y = graph.node("MatMulNBits", [graph.input("x", "float32", [rows, cols]), b, s], {
    domain: "com.microsoft",
    attributes: { K: { int: cols }, N: { int: outCols }, bits: { int: 8 }, block_size: { int: 32 } },
    name: "y",
  });
  graph.output(y, "float32", [rows, outCols]);
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  expectClose(theirs, matmulReference(x, toFloats(blocks), cols), sumLimit(cols));
});

it("q4: onnxruntime's MatMulNBits reads the blocks as the same matrix", async () => {
  const [rows, cols, outCols] = [2, 96, 7];
  const x = gaussian(1, rows * cols);
  const source = gaussian(2, outCols * cols);
  const blocks = quantizeQ4(source);
  const graph = new OnnxGraph();
  // Theirs hold elements 2i and 2i + 1 in a byte, about the same zero point of 8.
  const nibbles = Array.from(source, (_, i) => {
    const byte = blocks.values[Math.floor(i / 8) * 4 + (i % 4)]!;
    return i % 8 < 4 ? byte % 16 : Math.floor(byte / 16);
  });
  const bytes = Uint8Array.from(
    { length: nibbles.length / 2 },
    (_, i) => nibbles[2 * i]! + 16 * nibbles[2 * i + 1]!,
  );
  const b = graph.constant("b", "uint8", [outCols, cols / 32, 16], bytes);
  const scales = Float32Array.from(blocks.scales, fromHalf);
  const s = graph.constant("s", "float32", [(outCols * cols) / 32], scales);
  const y = graph.node("MatMulNBits", [graph.input("x", "float32", [rows, cols]), b, s], {
    domain: "com.microsoft",
    attributes: { K: { int: cols }, N: { int: outCols }, bits: { int: 4 }, block_size: { int: 32 } },
    name: "y",
  });
  graph.output(y, "float32", [rows, outCols]);
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  expectClose(theirs, matmulReference(x, toFloats(blocks), cols), sumLimit(cols));
  // And they stand for the matrix: within half a step, or a whole one where the range ends at +7.
  for (const [i, value] of toFloats(blocks).entries()) {
    expect(Math.abs(value - source[i]!)).toBeLessThanOrEqual(Math.abs(scales[Math.floor(i / 32)]!) * 1.001);
  }
});

it("chooses the tiling that reads the matrix least", () => {
  const tilings = [1, 3, 5].map((rowTile) => ({ rowTile, workgroupSize: 32, rowsPerGroup: 16 }));
  const chosen = [1, 2, 3, 4, 5, 6, 9, 33].map((rows) => tilings[chooseTiling(tilings, rows)]!.rowTile);
  expect(chosen).toEqual([1, 3, 3, 5, 5, 3, 5, 5]);
});

it("halves: known bits, ties to even, overflow and round trip", () => {
  expect([1, -2, 65504, 2 ** -24, 2 ** -14, 0.1].map(toHalf)).toEqual([
    0x3c00, 0xc000, 0x7bff, 1, 0x0400, 0x2e66,
  ]);
  expect(toHalf(1 + 2 ** -11)).toBe(0x3c00);
  expect(toHalf(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(toHalf(65520)).toBe(0x7c00);
  expect(toHalf(2 ** -25)).toBe(0);
  for (let bits = 0; bits < 0x7c00; bits++) expect(toHalf(fromHalf(bits))).toBe(bits);
});

it("q8: the largest of a block is exact, the others within half a scale", () => {
  const data = gaussian(4, 64);
  const blocks = quantize(data);
  const restored = toFloats(blocks);
  for (const [i, value] of data.entries()) {
    const scale = blocks.scales[Math.floor(i / 32)]!;
    expect(Math.abs(restored[i]! - value)).toBeLessThanOrEqual(scale * 0.5001);
  }
  expect(Math.max(...blocks.values.subarray(0, 32).map(Math.abs))).toBe(127);
  expect([...quantize(new Float32Array(32)).values]).toEqual(new Array(32).fill(0));
});

describeOnGpu("matmul", (gpu) => {
  for (const format of FORMATS) {
    for (const outCols of [1, 15, 16, 17, 131]) {
      it(`${format}: ${outCols} outputs around the workgroup's 16`, () =>
        check(gpu, { rows: 2, cols: 192, outCols, format }));
    }
    for (const cols of [32, 224, 256, 288, 1024]) {
      it(`${format}: ${cols} columns around the subgroup's reach`, () =>
        check(gpu, { rows: 1, cols, outCols: 20, format }));
    }
    for (const rows of [1, 2, 3, 4, 7, 9]) {
      it(`${format}: ${rows} rows around the tiles`, () =>
        check(gpu, { rows, cols: 64, outCols: 40, format, accumulate: rows % 2 === 1, spareRows: 3 }));
    }
  }

  for (const format of FORMATS) {
    for (const rows of [1, 5]) {
      it(`${format}: the norm of ${rows} rows in the same pass`, () =>
        check(gpu, { rows, cols: 192, outCols: 33, format, norm: true }));
    }
  }

  for (const format of FORMATS) {
    for (const [rows, partRows] of [
      [1, 1],
      [2, 7],
      [5, 16],
      [3, 32],
    ] as const) {
      it(`${format}: a matrix in parts of ${partRows} rows`, () => {
        const rowBytes = { f32: 384, f16: 192, q8: 96, q4: 48 }[format];
        const maxPartBytes = partRows * rowBytes + 16;
        const spareRows = 2;
        return check(gpu, {
          rows,
          cols: 96,
          outCols: 33,
          format,
          maxPartBytes,
          spareRows,
          accumulate: rows > 1,
        });
      });
    }
    it(`${format}: the norm of a matrix in parts`, () =>
      check(gpu, {
        rows: 3,
        cols: 64,
        outCols: 21,
        format,
        norm: true,
        maxPartBytes: 1200 / (format === "f32" ? 1 : 4),
      }));
  }

  for (const format of FORMATS) {
    it(`${format}: rectified, of several rows, and before a norm`, async () => {
      await check(gpu, { rows: 5, cols: 96, outCols: 21, format, rectify: true });
      await check(gpu, {
        rows: 1,
        cols: 64,
        outCols: 5,
        format,
        rectify: true,
        norm: true,
        accumulate: true,
      });
    });
  }

  it("names a matrix of parts that is to be one dispatch", async () => {
    const source = { kind: "f32", data: gaussian(1, 8 * 32) } as const;
    const spec = {
      label: "linears.0",
      x: input(gpu, "x", gaussian(2, 32)),
      matrix: uploadMatrix(gpu, { label: "w", rows: 8, cols: 32, format: "f32", maxPartBytes: 600 }, source),
      out: input(gpu, "out", gaussian(3, 8)),
      accumulate: false,
      step: step(gpu, 1),
    };
    await expect(createMatmul(gpu, spec)).rejects.toThrow("linears.0: takes 2 buffers");
  });

  it("f32: rows of four elements, fewer than a subgroup has lanes", () =>
    check(gpu, { rows: 2, cols: 4, outCols: 9, format: "f32" }));

  it("f16: rows of four elements", () => check(gpu, { rows: 2, cols: 4, outCols: 9, format: "f16" }));

  for (const workgroupSize of [32, 64]) {
    for (const rowTile of [1, 4]) {
      for (const rowsPerGroup of [4, 12, 64]) {
        it(`workgroup ${workgroupSize}, ${rowTile} rows of x, ${rowsPerGroup} of w`, () =>
          check(gpu, {
            rows: 7,
            cols: 96,
            outCols: 65,
            format: "f32",
            tiling: { rowTile, workgroupSize, rowsPerGroup },
          }));
      }
    }
  }

  it("runs nothing once the block is closed", async () => {
    const out = output(gpu, "out", 8);
    const source = { kind: "f32", data: gaussian(1, 8 * 32) } as const;
    const matmul = await createMatmul(gpu, {
      label: "matmul",
      x: input(gpu, "x", gaussian(2, 32)),
      matrix: uploadMatrix(gpu, { label: "w", rows: 8, cols: 32, format: "f32" }, source),
      out: out.view,
      accumulate: false,
      step: step(gpu, 0),
    });
    await run(gpu, [matmul], 1);
    expect([...(await out.f32())]).toEqual(new Array(8).fill(NaN));
  });

  it.each([false, true])(
    "NaN in an input reaches the output of its row alone; rectified: %s",
    async (rectify) => {
      const x = gaussian(1, 64);
      x[40] = NaN;
      const out = output(gpu, "out", 16);
      const source = { kind: "f32", data: gaussian(2, 8 * 32) } as const;
      const matmul = await createMatmul(gpu, {
        label: "matmul",
        x: input(gpu, "x", x),
        matrix: uploadMatrix(gpu, { label: "w", rows: 8, cols: 32, format: "f32" }, source),
        out: out.view,
        accumulate: false,
        rectify,
        step: step(gpu, 2),
      });
      await run(gpu, [matmul], 2);
      const actual = await out.f32();
      expect([...actual].map(Number.isNaN)).toEqual([
        ...new Array(8).fill(false),
        ...new Array(8).fill(true),
      ]);
    },
  );

  it("names a buffer that cannot hold a row", async () => {
    const source = { kind: "f32", data: gaussian(1, 8 * 32) } as const;
    const spec = {
      label: "layers.0.qkv",
      x: input(gpu, "x", gaussian(2, 16)),
      matrix: uploadMatrix(gpu, { label: "w", rows: 8, cols: 32, format: "f32" }, source),
      out: input(gpu, "out", gaussian(3, 8)),
      accumulate: false,
      step: step(gpu, 1),
    };
    await expect(createMatmul(gpu, spec)).rejects.toThrow(
      "layers.0.qkv: x holds 16 elements, expected rows of 32",
    );
  });

  it("names a matrix whose rows do not fit the format", () => {
    const source = { kind: "f32", data: gaussian(1, 8 * 36) } as const;
    const upload = () =>
      uploadMatrix(gpu, { label: "layers.0.down", rows: 8, cols: 36, format: "q8" }, source);
    expect(upload).toThrow("layers.0.down: has 36 columns, expected a multiple of 32 for q8");
  });

  // A device for each: compiling all of them in one test takes a loaded machine a minute.
  for (const format of FORMATS) {
    it(`${format}: gives the same without subgroups`, async () => {
      const plain = await openGpu({ features: [] });
      expect(defaultTilings(plain).length).toBeGreaterThan(1);
      for (const rows of [1, 6]) {
        await check(plain, { rows, cols: 96, outCols: 65, format, accumulate: rows === 6, spareRows: 2 });
      }
      await check(plain, { rows: 1, cols: 96, outCols: 9, format, norm: true });
      await check(plain, { rows: 2, cols: 96, outCols: 9, format, rectify: true });
      const maxPartBytes = 16 + 5 * { f32: 384, f16: 192, q8: 96, q4: 48 }[format];
      await check(plain, { rows: 6, cols: 96, outCols: 12, format, maxPartBytes, accumulate: true });
      plain.close();
    });
  }
});
