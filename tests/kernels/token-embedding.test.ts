import { describe, expect, it } from "vitest";
import { fromHalf, toHalf, uploadMatrix } from "../../kernels/matrix.ts";
import { tokenEmbeddingReference } from "../../kernels/token-embedding/token-embedding.reference.ts";
import { createTokenEmbedding, type EmbeddedToken } from "../../kernels/token-embedding/token-embedding.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";

describe("token-embedding reference", () => {
  it("adds rows as worked by hand", () => {
    // Two tables of three rows; the second token holds 2 and 0 in radix 3: (0 + 1) * 3 + 2.
    const table = [1, 2, 4, 8, 16, 32];
    const demux = (digit: 0 | 1): EmbeddedToken => ({ slot: 1, firstRow: 3, demux: { radix: 3, digit } });
    const entries = [{ slot: 0, firstRow: 0 }, demux(0), demux(1)];
    expect([...tokenEmbeddingReference(table, 1, entries, [1, 5], [100])]).toEqual([100 + 2 + 32 + 8]);
    // 2 alone: the second is -1.  -1 alone: nothing.
    expect([...tokenEmbeddingReference(table, 1, entries, [0, 2], [0])]).toEqual([1 + 32]);
    expect([...tokenEmbeddingReference(table, 1, entries, [-1, -1], [7])]).toEqual([7]);
  });
});

/** Three tables of 5, 7 and 6 rows. */
const ROWS = 18;
const ENTRIES: readonly EmbeddedToken[] = [
  { slot: 2, firstRow: 0 },
  { slot: 0, firstRow: 5 },
  { slot: 1, firstRow: 12, demux: { radix: 6, digit: 0 } },
  { slot: 1, firstRow: 12, demux: { radix: 6, digit: 1 } },
];

interface Case {
  cols: number;
  tokens: readonly number[];
  format?: "f32" | "f16";
  workgroupSize?: number;
  maxPartBytes?: number;
  based?: boolean;
}

describeOnGpu("token-embedding", (gpu) => {
  async function check(c: Case): Promise<void> {
    const { cols, tokens } = c;
    const format = c.format ?? "f32";
    const table = gaussian(1, ROWS * cols);
    const exact = format === "f16" ? table.map((value) => fromHalf(toHalf(value))) : table;
    const base = c.based === false ? new Float32Array(2 * cols) : gaussian(2, 2 * cols);
    const out = output(gpu, "out", 3 * cols);
    const kernels = await createTokenEmbedding(gpu, {
      label: "embedding",
      table: uploadMatrix(
        gpu,
        {
          label: "table",
          rows: ROWS,
          cols,
          format,
          ...(c.maxPartBytes ? { maxPartBytes: c.maxPartBytes } : {}),
        },
        { kind: "f32", data: table },
      ),
      entries: ENTRIES,
      tokens: input(gpu, "tokens", Int32Array.from(tokens)),
      ...(c.based === false ? {} : { base: input(gpu, "base", base) }),
      out: out.view,
      step: step(gpu, 2),
      ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
    });
    // One row more than the step runs is launched: it must stay as it was.
    await run(gpu, kernels, 3);
    const actual = await out.f32();
    // Sums of five numbers of size 1 in single precision.
    const expected = tokenEmbeddingReference(exact, cols, ENTRIES, tokens, base);
    expectClose(actual.subarray(0, 2 * cols), expected, { absolute: 2e-6 });
    expect([...actual.subarray(2 * cols)].every(Number.isNaN)).toBe(true);
  }

  for (const workgroupSize of [1, 16, 64]) {
    for (const cols of [4, 60, 64, 68, 1028]) {
      it(`agrees with the reference: ${workgroupSize} threads, ${cols} columns`, () =>
        check({ cols, workgroupSize, tokens: [6, 27, 4] }));
    }
  }

  it.each([[[0, 0, 0]], [[6, 5, 4]], [[-1, -1, -1]], [[-1, 6, -1]], [[3, 35, -1]], [[3, 30, 1]]])(
    "takes the tokens %j",
    async (tokens) => {
      for (const format of ["f32", "f16"] as const) await check({ cols: 12, tokens, format });
      await check({ cols: 12, tokens, based: false });
    },
  );

  it.each([16 + 48, 16 + 5 * 48, 16 + 17 * 48])(
    "joins a table in parts of %i bytes",
    async (maxPartBytes) => {
      for (const tokens of [
        [6, 27, 4],
        [-1, -1, -1],
        [0, 35, 0],
      ])
        await check({ cols: 12, tokens, maxPartBytes });
      await check({ cols: 12, tokens: [5, 22, 2], maxPartBytes, format: "f16", based: false });
    },
  );

  it("refuses what does not fit", async () => {
    const data = gaussian(1, ROWS * 32);
    const spec = {
      label: "embedding",
      table: uploadMatrix(
        gpu,
        { label: "table", rows: ROWS, cols: 32, format: "f32" },
        { kind: "f32", data },
      ),
      entries: ENTRIES,
      tokens: input(gpu, "tokens", Int32Array.of(0, 0, 0)),
      out: output(gpu, "out", 8).view,
      step: step(gpu, 1),
    };
    await expect(createTokenEmbedding(gpu, spec)).rejects.toThrow(
      "embedding: out holds 8 elements, expected rows of 32",
    );
    const table = uploadMatrix(
      gpu,
      { label: "table", rows: ROWS, cols: 32, format: "q8" },
      { kind: "f32", data },
    );
    await expect(createTokenEmbedding(gpu, { ...spec, table })).rejects.toThrow(
      "held in q8, expected f32 or f16",
    );
  });
});
