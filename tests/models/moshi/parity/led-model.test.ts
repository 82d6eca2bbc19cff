import { expect, test } from "vitest";
import { Generation } from "../../../../models/moshi/generation.ts";
import type { FrameInput } from "../../../../models/moshi/language-model.ts";
import { LedModel, likeliest, likeliestOfRows } from "../../../../models/moshi/parity/led-model.ts";
import { ScriptedModel } from "../scripted-model.ts";

const LAYOUT = { nQ: 3, depQ: 2, card: 13, textCard: 19, delays: [0, 0, 1, 0] };
const STEPS = 6;
const said = (t: number) => ({ text: (3 * t) % 19, audio: Int32Array.of((5 * t) % 13, (7 * t + 1) % 13) });

test("a network that says something else is given what the other run gives", async () => {
  const other = new ScriptedModel(2, said);
  const own = new ScriptedModel(2, () => ({ text: 11, audio: Int32Array.of(4, 9) }));
  const led = new LedModel(own, said);
  const runs = [new Generation(other, LAYOUT), new Generation(led, LAYOUT)];
  for (let t = 0; t < STEPS; t++) {
    const [expected, actual] = await Promise.all(runs.map((run) => run.step([t])));
    expect(actual).toEqual(expected);
    expect(led.own).toEqual({ text: 11, audio: Int32Array.of(4, 9) });
  }
  expect(own.inputs).toEqual(other.inputs);
  // Depth steps go on from these too.
  expect(own.texts).toEqual(other.texts);
  await runs[1]!.reset();
  expect((await runs[1]!.step([0])).sampled.text).toBe(said(0).text);
});

test("what comes from outside stays, and a step that is not known is the network's own", async () => {
  const inputs: FrameInput[] = [];
  const model = {
    frame: async (input: FrameInput) => {
      inputs.push(input);
      return { text: 1, audio: Int32Array.of(2, 3), extraHeads: new Float32Array() };
    },
    reset: async () => {},
    close: async () => {},
  };
  const led = new LedModel(model, (step) => (step === 0 ? null : said(step)));
  const tokens = Int32Array.of(0, 0, 0, 0);
  expect((await led.frame({ tokens })).text).toBe(1);
  await led.frame({ tokens, text: 17, audio: [null, 12] });
  expect(inputs[0]).toEqual({ tokens });
  expect(inputs[1]).toEqual({ tokens, text: 17, audio: [said(1).audio[0], 12] });
});

test("a greedy draw takes the first of the largest", () => {
  expect(likeliest([1, 4, 4, 2])).toBe(1);
  expect(likeliest([-3])).toBe(0);
  expect(likeliestOfRows(Float32Array.of(0, 1, 2, 9, 8, 7), 3)).toEqual([2, 0]);
});
