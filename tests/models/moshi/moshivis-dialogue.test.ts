import { expect, test } from "vitest";
import { type HeardFrame, MoshiSource, SpeakingDialogue, TokenTap } from "../../../models/moshi/dialogue.ts";
import { type DialogueEngine, DialogueModel } from "../../../models/moshi/dialogue-model.ts";
import { Generation } from "../../../models/moshi/generation.ts";
import type { FrameInput, FrameOutput } from "../../../models/moshi/language-model.ts";
import type { Picture } from "../../../models/moshi/vision/picture.ts";
import type { MicroTurnInput, VideoFrame } from "../../../src/core/micro-turn.ts";
import { ScriptedModel } from "./scripted-model.ts";

const LAYOUT = { nQ: 4, depQ: 2, delays: [0, 0, 1, 0, 1], textCard: 300, card: 13 };

/** A picture that is known by its only pixel. */
const picture = (level: number): Picture => ({ width: 1, height: 1, rgb: Uint8Array.of(level, 0, 0) });
const frame = (captureMs: number, level: number): VideoFrame => ({ captureMs, ...picture(level) });

/** Keeps the image that each step was given. */
class SeeingModel extends ScriptedModel {
  readonly images: (Float32Array | null | undefined)[] = [];

  override frame(input: FrameInput): Promise<FrameOutput> {
    this.images.push(input.image);
    return super.frame(input);
  }
}

test("a picture reaches one step as tokens, when all of it is taken in", async () => {
  const model = new SeeingModel(2, () => ({ text: 3 }));
  const tap = new TokenTap(model);
  const looked: number[] = [];
  let ended = 0;
  const dialogue = new SpeakingDialogue({
    source: new MoshiSource(new Generation(tap, LAYOUT)),
    tap,
    codec: {
      encode: async () => Int32Array.of(1, 2),
      decode: async () => new Float32Array(1920),
      reset: async () => {},
    },
    voiceCodebooks: 2,
    text: { push: () => "", reset: () => {} },
    look: async function* ({ rgb }) {
      try {
        looked.push(rgb[0]!);
        yield;
        return Float32Array.of(rgb[0]!, 0.5);
      } finally {
        ended++;
      }
    },
  });
  const heard: HeardFrame = { pcm: null, isLast: false };
  const run = async (frames: HeardFrame[]) => {
    await dialogue.reset();
    model.images.length = 0;
    for (const given of frames) await dialogue.step(given);
    return model.images.map((image) => (image ? [...image] : image));
  };
  // The first frame is two steps; the picture is taken in over two frames, its own and the next.
  const none = undefined;
  const seven = await run([heard, heard, { ...heard, picture: picture(7) }, heard, heard]);
  expect(seven).toEqual([none, none, none, none, [7, 0.5], none]);
  const eight = await run([{ ...heard, picture: picture(8) }, heard, heard]);
  expect(eight).toEqual([none, none, [8, 0.5], none]);
  // A conversation that ends first gives the picture up, and so does a newer one.
  expect(await run([heard, { ...heard, picture: picture(9) }])).toEqual([none, none, none]);
  expect(ended).toBe(2);
  const newer = await run([{ ...heard, picture: picture(1) }, { ...heard, picture: picture(2) }, heard]);
  expect(newer).toEqual([none, none, none, [2, 0.5]]);
  expect(looked).toEqual([7, 8, 9, 1, 2]);
  expect(ended).toBe(5);
});

/** Tells of the pictures that it is given; `loses` names a call in which it loses its device. */
class FakeEngine implements DialogueEngine {
  readonly adapter = "fake";
  readonly pictures: (number | null)[] = [];
  loses: number | null = null;

  async step(frames: readonly HeardFrame[]) {
    for (const { picture } of frames) this.pictures.push(picture ? picture.rgb[0]! : null);
    const isNew = this.loses !== null && this.pictures.length === this.loses;
    const reply = { tokens: [], sound: null, text: "", captions: [] };
    return { replies: isNew ? [] : frames.map(() => reply), isNew };
  }

  async reset(): Promise<void> {
    this.pictures.length = 0;
  }

  async begin(): Promise<void> {
    this.pictures.length = 0;
  }

  async close(): Promise<void> {}
}

function modelOn(engine: DialogueEngine, sees: boolean): DialogueModel {
  return new DialogueModel({
    engine,
    conversationOf: () => Promise.reject(new Error("nothing is wished for")),
    description: { model: "moshi/test", backend: "gpu", adapter: "fake", reason: "" },
    lagMs: 80,
    sees,
  });
}

const micro = (index: number, frames: VideoFrame[] = []): MicroTurnInput => ({
  index,
  startMs: 80 * index,
  durationMs: 80,
  audio: null,
  frames,
  events: [],
});

test("a session shows its first picture alone, and the next session its own", async () => {
  const engine = new FakeEngine();
  const model = modelOn(engine, true);
  expect(model.perception.videoFramesPerMicroTurn).toBe(1);
  await model.step([micro(0)]);
  await model.step([micro(1, [frame(90, 5)]), micro(2, [frame(170, 6)])]);
  await model.step([micro(3, [frame(250, 7)])]);
  expect(engine.pictures).toEqual([null, 5, null, null]);
  await model.reset();
  await model.step([micro(0, [frame(0, 9)])]);
  expect(engine.pictures).toEqual([9]);
});

test("a conversation that begins anew after a loss is shown the picture that comes next", async () => {
  const engine = new FakeEngine();
  engine.loses = 2;
  const model = modelOn(engine, true);
  for (const index of [0, 1, 2, 3]) await model.step([micro(index, [frame(80 * index, 10 + index)])]);
  expect(engine.pictures).toEqual([10, null, 12, null]);
});

test("a model that is blind asks for no pictures and is given none", async () => {
  const engine = new FakeEngine();
  const model = modelOn(engine, false);
  expect(model.perception.videoFramesPerMicroTurn).toBeNull();
  await model.step([micro(0, [frame(0, 5)])]);
  expect(engine.pictures).toEqual([null]);
});
