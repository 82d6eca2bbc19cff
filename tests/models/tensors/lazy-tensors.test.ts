import { expect, test } from "vitest";
import { dequantize, quantize, quantizeQ4 } from "../../../kernels/blocks.ts";
import { type LazyTensor, stacked } from "../../../models/tensors/lazy-tensors.ts";
import { gaussian } from "../../kernels/harness.ts";

const COLS = 64;

/** Two rows of blocks, or of numbers. */
function matrix(kind: "q8" | "q4" | "f32", seed: number): LazyTensor & { all: Float32Array } {
  const data = gaussian(seed, 2 * COLS);
  const held = kind === "q8" ? quantize(data) : kind === "q4" ? quantizeQ4(data) : null;
  const all = held ? dequantize(held) : data;
  return {
    name: `${kind} ${seed}`,
    shape: [2, COLS],
    dtype: { q8: "Q8_0", q4: "Q4_0", f32: "F32" }[kind],
    all,
    read: async ({ start, count }) => all.slice(start, start + count),
    readBlocks: async ({ start, count }) => {
      const [from, to] = [start / 32, (start + count) / 32];
      if (held?.kind === "q8") {
        return {
          ...held,
          values: held.values.slice(start, start + count),
          scales: held.scales.slice(from, to),
        };
      }
      if (held?.kind !== "q4") return null;
      const values = held.values.slice(start / 2, (start + count) / 2);
      return { ...held, values, scales: held.scales.slice(from, to) };
    },
  };
}

test.each(["q8", "q4"] as const)("matrices one below the other stay in blocks of %s", async (kind) => {
  const parts = [matrix(kind, 1), matrix(kind, 2), matrix(kind, 3)];
  const whole = stacked("file", "stack", parts);
  expect(whole).toMatchObject({ shape: [6, COLS], dtype: parts[0]!.dtype });
  const all = Float32Array.from(parts.flatMap((part) => [...part.all]));
  for (const [first, count] of [
    [0, 6],
    [1, 4],
    [3, 1],
    [2, 2],
  ] as const) {
    const range = { start: first * COLS, count: count * COLS };
    const blocks = await whole.readBlocks!(range);
    expect(blocks!.kind).toBe(kind);
    expect(dequantize(blocks!)).toEqual(all.slice(range.start, range.start + range.count));
  }
});

test("a range of two kinds has no blocks, one of one kind has", async () => {
  const parts = [matrix("q8", 1), matrix("q4", 2), matrix("f32", 3)];
  const whole = stacked("file", "stack", parts);
  expect(whole.dtype).toBe("F32");
  const kindOf = async (first: number, count: number) =>
    (await whole.readBlocks!({ start: first * COLS, count: count * COLS }))?.kind ?? null;
  expect(await kindOf(0, 2)).toBe("q8");
  expect(await kindOf(3, 1)).toBe("q4");
  expect(await kindOf(1, 2)).toBeNull();
  expect(await kindOf(3, 2)).toBeNull();
  expect(await kindOf(4, 2)).toBeNull();
  const values = await whole.read({ start: COLS, count: 4 * COLS });
  const all = parts.flatMap((part) => [...part.all]);
  expect(values).toEqual(Float32Array.from(all.slice(COLS, 5 * COLS)));
});
