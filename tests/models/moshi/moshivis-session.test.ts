import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { FakeCamera } from "../../../devices/camera/fake-camera.ts";
import { chunked, FakeMicrophone } from "../../../devices/microphone/fake-microphone.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../../devices/voice/fake-voice.ts";
import type { DialogueModel } from "../../../models/moshi/dialogue-model.ts";
import { findMoshiFiles, type MoshiFiles } from "../../../models/moshi/files.ts";
import { loadMoshiModel } from "../../../models/moshi/load.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { Source } from "../../../src/core/device.ts";
import type { MicroTurnInput } from "../../../src/core/micro-turn.ts";
import type { InteractionModel } from "../../../src/core/model.ts";
import { Session } from "../../../src/runtime/session.ts";
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
const FRAMES = 10;
/** Frames that a picture is taken in over: its tokens are there with the last of them. */
const PARTS = SMALL_TOWER.nLayers + 1;

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

/** Tokens of a session in virtual time over what is heard. */
async function session(model: InteractionModel, cameras: Source[]): Promise<number[][]> {
  const clock = new VirtualClock();
  const tokens: number[][] = [];
  await new Session({
    clock,
    model,
    sources: [new FakeMicrophone({ chunks: chunked(heard, 24_000, 50) }), ...cameras],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ step: ({ output }) => tokens.push([...output.tokens]) }],
    durationMs: 80 * FRAMES,
    log: { write: () => {} },
  }).run();
  return tokens;
}

function micro(n: number, frames: MicroTurnInput["frames"] = []): MicroTurnInput {
  return { index: n, startMs: 80 * n, durationMs: 80, audio: pcmOf(n), frames, events: [] };
}

it("knows where the image encoder of a checkpoint is", async () => {
  expect(files).toMatchObject({ kind: "moshi", vision: join(directory, "model.safetensors") });
  // Rust's release in q8 has it beside the language model, for which it is not to be taken.
  const beside = await mkdtemp(join(tmpdir(), "moshivis-"));
  await cp(directory, beside, { recursive: true });
  await rename(join(beside, "model.safetensors"), join(beside, "weights.safetensors"));
  const tower = join(beside, "weights_vision_tower_unquant.safetensors");
  await cp(join(beside, "weights.safetensors"), tower);
  const model = join(beside, "weights.safetensors");
  expect(await findMoshiFiles(beside)).toMatchObject({ model, vision: tower });
  await rm(beside, { recursive: true });
  // A Moshi is blind, whatever its file holds.
  await writeTinyCheckpoint(beside, TINY_MOSHI);
  expect((await findMoshiFiles(beside)).vision).toBeNull();
  await rm(beside, { recursive: true });
});

describeOnGpu("a conversation with a tiny MoshiVis", () => {
  let model: DialogueModel;
  let blind: number[][];
  const frame = (seed: number) => ({ captureMs: 0, ...picture(seed) });

  /** Tokens of a conversation; `shown` says what the camera gives in which micro-turn. */
  async function converse(shown: Record<number, ReturnType<typeof frame>[]>): Promise<number[][]> {
    await model.reset();
    const tokens: number[][] = [];
    for (let n = 0; n < FRAMES; n++) tokens.push([...(await model.step([micro(n, shown[n])])).tokens]);
    return tokens;
  }

  beforeAll(async () => {
    model = await loadMoshiModel({ directory, ...SETTINGS });
    blind = await converse({});
  });
  afterAll(() => model.close());

  it("sees its picture once all of it is taken in, and no longer than the conversation lasts", async () => {
    expect(model.perception.videoFramesPerMicroTurn).toBe(1);
    const one = await converse({ 3: [frame(1)] });
    const other = await converse({ 3: [frame(2)] });
    const sight = 3 + PARTS - 1;
    for (const tokens of [one, other]) {
      expect(tokens.slice(0, sight)).toEqual(blind.slice(0, sight));
      expect(tokens.slice(sight)).not.toEqual(blind.slice(sight));
    }
    expect(other).not.toEqual(one);
    // The conversation before leaves no picture behind.
    expect(await converse({})).toEqual(blind);
    expect(await converse({ 3: [frame(1)] })).toEqual(one);
  });

  it("is shown the first picture alone", async () => {
    const first = await converse({ 1: [frame(1)] });
    expect(await converse({ 1: [frame(1)], 2: [frame(2)], 4: [frame(2)] })).toEqual(first);
  });

  it("sees a camera in a session, the same every time", async () => {
    // As the command line runs it: the camera's first frame falls into micro-turn 2.
    const camera = new FakeCamera({ captureMs: [170, 250, 330, 410], width: 16, height: 12 });
    const seeing = await session(model, [camera]);
    const unseeing = await session(model, []);
    const sight = 2 + PARTS - 1;
    expect(seeing.slice(0, sight)).toEqual(unseeing.slice(0, sight));
    expect(seeing.slice(sight)).not.toEqual(unseeing.slice(sight));
    expect(await session(model, [camera])).toEqual(seeing);
  });
});
