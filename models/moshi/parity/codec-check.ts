import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors } from "../../tensors/safetensors.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { FRAME_SAMPLES, type MimiConfig, parseMimiConfig } from "../mimi/config.ts";
import type { ParityBackend, ParityCodec } from "./backend.ts";
import { FixtureFile, type Rows } from "./fixture-file.ts";
import type { ParitySet } from "./parity-set.ts";
import { type CheckReport, NumberComparison, TokenComparison } from "./report.ts";
import { openFormula } from "./weight-formula.ts";

/** Allowed difference of latents and sound, as a share of the expected output's standard deviation. */
const TOLERANCE_STD = 1e-4;
/** A code whose runner-up is this near, relative, may fall either way by rounding. */
const NEAR_TIE = 1e-5;

/** Codes by frames: (codebooks, frames). */
type Matrix = Rows<Int32Array> | Rows<Float32Array>;

/** Mimi, frame by frame, against the original's streaming outputs. Its weights are always f32. */
export async function checkCodec(set: ParitySet, backend: ParityBackend): Promise<CheckReport[]> {
  const configPath = join(set.path, "mimi_config.json");
  const config = parseMimiConfig(await readFile(configPath, "utf8"), configPath);
  const tensors = await openWeights(set);
  let opened: ParityCodec;
  try {
    opened = await backend.openCodec(config, tensors);
  } finally {
    await tensors.close();
  }
  try {
    return await FixtureFile.with(join(set.path, "io.safetensors"), async (io) => [
      await checkEncoder(set, config, io, opened),
      await checkDecoder(set, config, io, opened),
    ]);
  } finally {
    await opened.codec.close();
  }
}

/** The set's weights; where there is no file of them, those that its list describes. */
async function openWeights({ path, files }: ParitySet): Promise<TensorFile> {
  if (files.has("model.safetensors")) return openSafetensors(join(path, "model.safetensors"));
  const list = join(path, "tensors.json");
  return openFormula(await readFile(list, "utf8"), list);
}

async function checkEncoder(
  set: ParitySet,
  config: MimiConfig,
  io: FixtureFile,
  { codec, latent }: ParityCodec,
): Promise<CheckReport> {
  const { nCodebooksUsed, transformer } = config;
  const wav = await io.numbers("wav", [null]);
  const frames = Math.floor(wav.count / FRAME_SAMPLES);
  const expectedCodes = await io.tokens("codes_streaming", [nCodebooksUsed, frames]);
  const expectedLatent = await io.numbers("latent_streaming", [transformer.dim, frames]);
  const margins = await io.numbers("vq_margin", [nCodebooksUsed, frames]);
  const latents = new NumberComparison("latent_streaming", tolerance(expectedLatent.all));
  const codes = new TokenComparison("codes_streaming", true);
  await codec.reset();
  for (let t = 0; t < frames; t++) {
    const actual = await codec.encode(wav.all.slice(t * FRAME_SAMPLES, (t + 1) * FRAME_SAMPLES));
    compareCodes(codes, actual, column(expectedCodes, t), column(margins, t), t);
    latents.add(await latent(), column(expectedLatent, t), `frame ${t}`);
  }
  return { set: set.name, check: "encode", outputs: [latents.report(), codes.report()] };
}

/** A near-tie that falls otherwise makes the later levels of its frame others: what they quantise is another remainder. */
function compareCodes(
  codes: TokenComparison,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  margins: ArrayLike<number>,
  frame: number,
): void {
  for (let level = 0; level < expected.length; level++) {
    if (actual[level] !== expected[level] && margins[level]! < NEAR_TIE) {
      codes.addNearTie();
      // The first codebook stands apart from the others.
      if (level > 0) return;
    } else codes.addOne(actual[level] ?? Number.NaN, expected[level]!, `frame ${frame}, codebook ${level}`);
  }
}

async function checkDecoder(
  set: ParitySet,
  config: MimiConfig,
  io: FixtureFile,
  { codec }: ParityCodec,
): Promise<CheckReport> {
  const codes = await io.tokens("codes_streaming", [config.nCodebooksUsed, null]);
  const frames = io.shape("codes_streaming", 2)[1]!;
  const expected = await io.numbers("pcm_streaming", [frames * FRAME_SAMPLES]);
  const pcm = new NumberComparison("pcm_streaming", tolerance(expected.all));
  await codec.reset();
  for (let t = 0; t < frames; t++) {
    const samples = expected.all.subarray(t * FRAME_SAMPLES, (t + 1) * FRAME_SAMPLES);
    pcm.add(await codec.decode(Int32Array.from(column(codes, t))), samples, `frame ${t}`);
  }
  return { set: set.name, check: "decode", outputs: [pcm.report()] };
}

function column(rows: Matrix, t: number): number[] {
  return Array.from({ length: rows.count }, (_, row) => rows.at(row)[t]!);
}

function tolerance(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return (
    TOLERANCE_STD * Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
  );
}
