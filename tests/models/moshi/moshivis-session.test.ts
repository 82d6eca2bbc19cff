import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { HeardFrame } from "../../../models/moshi/dialogue.ts";
import { findMoshiFiles, type MoshiFiles } from "../../../models/moshi/files.ts";
import { loadMoshiModel } from "../../../models/moshi/load.ts";
import { Engine } from "../../../models/moshi/worker/engine.ts";
import type { MicroTurnInput } from "../../../src/core/micro-turn.ts";
import { describeOnGpu, gaussian, integers } from "../../kernels/harness.ts";
import { storeF32 } from "../native/safetensors-file.ts";
import { TINY_MOSHI, writeTinyCheckpoint } from "./tiny-checkpoint.ts";
import { randomTower, SMALL_TOWER } from "./vision/random-tower.ts";

/** Many pipelines are compiled here: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const TINY_VIS = { ...TINY_MOSHI, cross_attention: true, xa_gating: "sigmoid" };
const SETTINGS = {
  weights: "as-stored",
  temperature: 0,
  seed: 3,
  persona: { voice: null, role: "" },
} as const;
const FRAMES = 6;

const heard = gaussian(77, 1920 * FRAMES, 0.2);
const pcmOf = (n: number) => heard.slice(1920 * n, 1920 * (n + 1));
const picture = (seed: number) => ({
  width: 16,
  height: 12,
  rgb: Uint8Array.from(integers(seed, 3 * 16 * 12, 256)),
});

let directory: string;
let files: MoshiFiles;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "moshivis-"));
  const tower = new Map(
    Object.entries(randomTower(SMALL_TOWER, TINY_VIS.dim)).map(([name, { shape, data }]) => [
      name,
      // An image so glaring that gates which begin nearly shut let it through, and tokens tell of it.
      storeF32(shape, name.endsWith("norm_xa.alpha") ? data.map((value) => 300 * value) : data),
    ]),
  );
  await writeTinyCheckpoint(directory, TINY_VIS, tower);
  files = await findMoshiFiles(directory);
});
afterAll(() => rm(directory, { recursive: true }));

/** Tokens of a conversation; `at` says which frame brings a picture. */
async function converse(engine: Engine, at: Record<number, ReturnType<typeof picture>>): Promise<number[][]> {
  await engine.reset();
  const tokens: number[][] = [];
  for (let n = 0; n < FRAMES; n++) {
    const shown = at[n];
    const frame: HeardFrame = { pcm: pcmOf(n), isLast: false, ...(shown ? { picture: shown } : {}) };
    const { replies } = await engine.step([frame]);
    tokens.push(replies[0]!.tokens);
  }
  return tokens;
}

function micro(n: number, frames: MicroTurnInput["frames"] = []): MicroTurnInput {
  return { index: n, startMs: 80 * n, durationMs: 80, audio: pcmOf(n), frames, events: [] };
}

it("knows where the image encoder of a checkpoint is", () => {
  expect(files).toMatchObject({ kind: "moshi", vision: join(directory, "model.safetensors") });
});

describeOnGpu("a conversation with a tiny MoshiVis", () => {
  it("sees its picture from the frame that brings it on, and only then", async () => {
    const engine = await Engine.create({ files, ...SETTINGS });
    const blind = await converse(engine, {});
    const late = await converse(engine, { 3: picture(1) });
    expect(late.slice(0, 3)).toEqual(blind.slice(0, 3));
    expect(late.slice(3)).not.toEqual(blind.slice(3));
    const other = await converse(engine, { 3: picture(2) });
    expect(other.slice(0, 3)).toEqual(blind.slice(0, 3));
    expect(other.slice(3)).not.toEqual(late.slice(3));
    // The conversation before leaves no picture behind.
    expect(await converse(engine, {})).toEqual(blind);
    expect(await converse(engine, { 3: picture(1) })).toEqual(late);
    await engine.close();
  });

  it("asks a camera for pictures and shows the first one alone, in each session anew", async () => {
    const model = await loadMoshiModel({ directory, ...SETTINGS });
    expect(model.perception.videoFramesPerMicroTurn).toBe(1);
    const frame = (seed: number) => ({ captureMs: 0, ...picture(seed) });
    const run = async (shown: Record<number, ReturnType<typeof frame>[]>) => {
      await model.reset();
      const tokens: number[][] = [];
      for (let n = 0; n < FRAMES; n++) tokens.push([...(await model.step([micro(n, shown[n])])).tokens]);
      return tokens;
    };
    const first = await run({ 1: [frame(1)] });
    expect(await run({ 1: [frame(1)], 2: [frame(2)], 4: [frame(2)] })).toEqual(first);
    expect(await run({ 1: [frame(2)] })).not.toEqual(first);
    await model.close();
  });
});
