import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RELEASED_MIMI } from "../../../../models/moshi/mimi/config.ts";
import type { ParityBackend } from "../../../../models/moshi/parity/backend.ts";
import { checkCodec } from "../../../../models/moshi/parity/codec-check.ts";
import { findParitySets } from "../../../../models/moshi/parity/parity-set.ts";
import type { OutputReport } from "../../../../models/moshi/parity/report.ts";
import { configJsonOf } from "../mimi/config-json.ts";
import { type SetTensors, writeTensors } from "./small-set.ts";

const FRAMES = 3;
const BOOKS = 3;
const DIM = 16;

const CONFIG = configJsonOf({
  seanet: { ...RELEASED_MIMI.seanet, nFilters: 4 },
  transformer: { dim: DIM, nHeads: 2, nLayers: 1, ffDim: 32, context: 8, maxPeriod: 10_000 },
  quantizer: { dim: 8, nCodebooks: BOOKS, bins: 32 },
  nCodebooksUsed: BOOKS,
});

const latentAt = (t: number): number[] => Array.from({ length: DIM }, (_, i) => Math.sin(t * 10 + i));
const codeAt = (book: number, t: number): number => (5 * book + 3 * t) % 32;
const sampleAt = (i: number): number => Math.cos(i / 50);

/** A codec that gives what the set says, but for what a test changes. */
function backend({ codes = codeAt, sample = sampleAt } = {}): ParityBackend {
  let encoded = -1;
  let decoded = -1;
  const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
  return {
    adapter: "scripted",
    weights: "f32",
    openLanguageModel: () => Promise.reject(new Error("there is none")),
    openCodec: async () => ({
      codec: {
        nCodebooks: BOOKS,
        encode: async () => {
          encoded++;
          return Int32Array.from(range(BOOKS), (book) => codes(book, encoded));
        },
        decode: async () => {
          decoded++;
          return Float32Array.from(range(1920), (i) => sample(decoded * 1920 + i));
        },
        reset: async () => {
          encoded = -1;
          decoded = -1;
        },
        close: async () => {},
      },
      latent: async () => Float32Array.from(latentAt(encoded)),
    }),
    close: () => {},
  };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microturn-codec-"));
  const byRow = (rows: number, value: (row: number, t: number) => number): number[] =>
    Array.from({ length: rows * FRAMES }, (_, i) => value(Math.floor(i / FRAMES), i % FRAMES));
  const tensors: SetTensors = {
    wav: { shape: [FRAMES * 1920], data: new Float32Array(FRAMES * 1920) },
    latent_streaming: {
      shape: [DIM, FRAMES],
      data: Float32Array.from(byRow(DIM, (row, t) => latentAt(t)[row]!)),
    },
    codes_streaming: { shape: [BOOKS, FRAMES], data: BigInt64Array.from(byRow(BOOKS, codeAt), BigInt) },
    // Only codebook 1 of frame 2 is a near-tie.
    vq_margin: {
      shape: [BOOKS, FRAMES],
      data: Float32Array.from(byRow(BOOKS, (row, t) => (row === 1 && t === 2 ? 1e-6 : 0.1))),
    },
    pcm_streaming: {
      shape: [FRAMES * 1920],
      data: Float32Array.from({ length: FRAMES * 1920 }, (_, i) => sampleAt(i)),
    },
  };
  await writeTensors(join(folder, "io.safetensors"), tensors);
  await writeFile(join(folder, "mimi_config.json"), JSON.stringify(CONFIG));
  await writeFile(join(folder, "tensors.json"), JSON.stringify({ seed: 1, tensors: {} }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function outputs(tested: ParityBackend): Promise<OutputReport[]> {
  const [set] = await findParitySets(folder);
  return (await checkCodec(set!, tested)).flatMap((check) => check.outputs);
}

describe("a codec", () => {
  test("that gives what the original gave is right", async () => {
    const [latent, codes, pcm] = await outputs(backend());
    expect(latent).toMatchObject({ ok: true, compared: DIM * FRAMES });
    expect(codes).toMatchObject({ ok: true, compared: BOOKS * FRAMES, nearTies: 0 });
    expect(pcm).toMatchObject({ ok: true, compared: 1920 * FRAMES });
    // A sine of effective value 0.71: the tolerance is a ten thousandth of it.
    expect(pcm!.kind === "numbers" && pcm!.tolerance).toBeCloseTo(0.7e-4, 5);
  });

  test("with another code is wrong, and the first is named", async () => {
    const codes = (book: number, t: number): number => (book === 2 && t === 1 ? 31 : codeAt(book, t));
    const [, report] = await outputs(backend({ codes }));
    expect(report).toMatchObject({ ok: false, firstDifference: { at: "frame 1, codebook 2", actual: 31 } });
  });

  test("may fall otherwise in a near-tie, and in the levels after it", async () => {
    const codes = (book: number, t: number): number => (book >= 1 && t === 2 ? 30 : codeAt(book, t));
    const [, report] = await outputs(backend({ codes }));
    expect(report).toMatchObject({ ok: true, nearTies: 1, compared: BOOKS * FRAMES - 2 });
    // But the level before it must be right.
    const early = (book: number, t: number): number => (t === 2 ? 30 : codeAt(book, t));
    expect((await outputs(backend({ codes: early })))[1]).toMatchObject({ ok: false });
  });

  test("whose sound is off by more than the tolerance is wrong", async () => {
    const sample = (i: number): number => sampleAt(i) + (i === 2000 ? 1e-3 : 0);
    const [, , report] = await outputs(backend({ sample }));
    expect(report).toMatchObject({ ok: false, at: "frame 1, element 80" });
  });
});
