import { describe, expect, it } from "vitest";
import { createFrameRows } from "../../kernels/frame-rows.ts";
import { type Codebooks, centroidsOf, createCodebooks, writeCodebook } from "../../kernels/rvq/codebooks.ts";
import {
  nearestReference,
  type ReferenceCodebooks,
  rvqEncodeReference,
  rvqSumReference,
} from "../../kernels/rvq/rvq.reference.ts";
import { createRvqSearch, createRvqSum } from "../../kernels/rvq/rvq.ts";
import { uploadBuffer, writeBuffer } from "../../src/gpu/buffers.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, integers, output, run } from "./harness.ts";

interface Case {
  nCodebooks: number;
  bins: number;
  dim: number;
  workgroupSize?: number;
}

function random(gpu: Gpu, c: Case): { onHost: ReferenceCodebooks; onDevice: Codebooks } {
  const onDevice = createCodebooks(gpu, "codebooks", c);
  const centroids = Array.from({ length: c.nCodebooks }, (_, i) => gaussian(10 + i, c.bins * c.dim));
  for (const [i, rows] of centroids.entries()) writeCodebook(gpu, onDevice, i, rows);
  return { onHost: { ...c, centroids }, onDevice };
}

/**
 * Codes of random latents against the reference's. Among random centroids two distances of a search are closer than f32
 * can tell (1e-6 of them) once in some 10 000 searches; the seeds here have none.
 */
async function check(gpu: Gpu, c: Case): Promise<void> {
  const { onHost, onDevice } = random(gpu, c);
  const latents = gaussian(1, 2 * c.dim, 2);
  const codes = output(gpu, "codes", c.nCodebooks);
  const search = await createRvqSearch(gpu, {
    label: "rvq",
    codebooks: onDevice,
    latents: input(gpu, "latents", latents),
    codes: codes.view,
    ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
  });
  expect(search).toHaveLength(Math.max(2, c.nCodebooks));
  await run(gpu, search, 1);
  const expected = rvqEncodeReference(onHost, latents.subarray(0, c.dim), latents.subarray(c.dim));
  expect([...(await codes.u32())]).toEqual(expected);
  // Nothing is left over from the first time.
  await run(gpu, search, 1);
  expect([...(await codes.u32())]).toEqual(expected);
}

describe("rvq reference", () => {
  it("a frame worked by hand: the acoustic levels quantise the whole latent", () => {
    const centroids = [
      [0, 4],
      [0, 3],
      [-1, 1],
    ];
    // Semantic 3 -> 4. Acoustic 4 -> 3, left 1 -> 1. Were the semantic centroid taken away first, all would be 0.
    expect(rvqEncodeReference({ bins: 2, dim: 1, centroids }, [3], [4])).toEqual([1, 1, 1]);
    expect([...rvqSumReference({ bins: 2, dim: 1, centroids }, [1, 1, 1])]).toEqual([4, 4]);
  });

  it("a tie goes to the lowest", () => {
    expect(nearestReference([0, 0], [3, 0, 0, 1, 1, 0, 0, -1])).toBe(1);
  });

  it("centroids that were hardly used are their sums over 1e-5", () => {
    const centroids = centroidsOf(Float32Array.of(6, 8, 1e-5, 2e-5, 1, 2), Float32Array.of(2, 0, 1e-6));
    expectClose(centroids, [3, 4, 1, 2, 1e5, 2e5], { absolute: 0, relative: 1e-7 });
  });
});

describeOnGpu("rvq", (gpu) => {
  for (const bins of [1, 63, 64, 65, 200])
    it(`${bins} centroids`, () => check(gpu, { nCodebooks: 4, bins, dim: 12 }));

  for (const nCodebooks of [1, 2, 3, 32])
    it(`${nCodebooks} codebooks`, () => check(gpu, { nCodebooks, bins: 96, dim: 24 }));

  it("centroids longer than a workgroup, other workgroups", async () => {
    await check(gpu, { nCodebooks: 3, bins: 70, dim: 512 });
    await check(gpu, { nCodebooks: 3, bins: 70, dim: 16, workgroupSize: 16 });
  });

  it("a tie goes to the lowest, within a workgroup and between two", async () => {
    const books = createCodebooks(gpu, "codebooks", { nCodebooks: 2, bins: 130, dim: 4 });
    const rows = gaussian(1, 130 * 4, 10);
    for (const twin of [40, 50, 70, 129]) rows.set([1, 2, 3, 4], twin * 4);
    for (const book of [0, 1]) writeCodebook(gpu, books, book, rows);
    const codes = output(gpu, "codes", 2);
    const latents = input(gpu, "latents", Float32Array.of(1, 2, 3, 4.1, 1, 2, 3, 3.9));
    await run(
      gpu,
      await createRvqSearch(gpu, { label: "rvq", codebooks: books, latents, codes: codes.view }),
      1,
    );
    expect([...(await codes.u32())]).toEqual([40, 40]);
  });

  it("NaN gives codes that exist", async () => {
    const { onDevice } = random(gpu, { nCodebooks: 3, bins: 65, dim: 8 });
    const codes = output(gpu, "codes", 3);
    const latents = input(gpu, "latents", new Float32Array(16).fill(Number.NaN));
    const search = await createRvqSearch(gpu, {
      label: "rvq",
      codebooks: onDevice,
      latents,
      codes: codes.view,
    });
    await run(gpu, search, 1);
    expect([...(await codes.u32())]).toEqual([0, 0, 0]);
  });

  it("sums of centroids, of fewer codes than codebooks too, behind the frame before", async () => {
    const c = { nCodebooks: 5, bins: 70, dim: 36 };
    const { onHost, onDevice } = random(gpu, c);
    const out = createFrameRows(gpu, "sums", { channels: 2 * c.dim, context: 1, rows: 1 });
    const guarded = output(gpu, "sums", 4 * c.dim, new Float32Array(4 * c.dim));
    const all = integers(7, 10, c.bins);
    const frame = uploadBuffer(gpu, { label: "frame", role: "uniform" }, new Uint32Array(4));
    const sum = await createRvqSum(gpu, {
      label: "rvq sum",
      codebooks: onDevice,
      codes: input(gpu, "codes", all),
      frame,
      out: { ...out, view: guarded.view },
    });
    let before: Float64Array = new Float64Array(2 * c.dim);
    for (const [first, n] of [
      [0, 5],
      [5, 3],
      [4, 1],
    ] as const) {
      writeBuffer(gpu, frame, Uint32Array.of(n, first, 0, 0));
      await run(gpu, [sum], 1);
      const now = rvqSumReference(onHost, all.subarray(first, first + n));
      // Sums of four or fewer unit normals.
      expectClose(await guarded.f32(), [...before, ...now], { absolute: 1e-6 });
      before = now;
    }
  });

  it("a code that does not exist adds nothing", async () => {
    const c = { nCodebooks: 3, bins: 70, dim: 8 };
    const { onHost, onDevice } = random(gpu, c);
    const guarded = output(gpu, "sums", 16);
    const sum = await createRvqSum(gpu, {
      label: "rvq sum",
      codebooks: onDevice,
      codes: input(gpu, "codes", Int32Array.of(70, 3, -1)),
      frame: uploadBuffer(gpu, { label: "frame", role: "uniform" }, Uint32Array.of(3, 0, 0, 0)),
      out: { view: guarded.view, channels: 16, context: 0, rows: 1 },
    });
    await run(gpu, [sum], 1);
    const expected = rvqSumReference(onHost, [0, 3]);
    expectClose(await guarded.f32(), [...new Float64Array(8), ...expected.subarray(8)], { absolute: 1e-6 });
  });

  it("gives the same without optional features", async () => {
    const plain = await openGpu({ features: [] });
    await check(plain, { nCodebooks: 3, bins: 96, dim: 24 });
    plain.close();
  });

  it("names what does not fit", async () => {
    expect(() => createCodebooks(gpu, "codebooks", { nCodebooks: 1, bins: 4, dim: 6 })).toThrow(
      "codebooks: centroids have 6 elements, expected a multiple of 4",
    );
    const { onDevice } = random(gpu, { nCodebooks: 8, bins: 4, dim: 8 });
    const views = {
      latents: input(gpu, "latents", new Float32Array(8)),
      codes: input(gpu, "codes", new Uint32Array(8)),
    };
    await expect(createRvqSearch(gpu, { label: "rvq", codebooks: onDevice, ...views })).rejects.toThrow(
      "rvq: latents holds 8 elements, expected 16",
    );
  });
});
