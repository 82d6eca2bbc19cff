import { describe, expect, test } from "vitest";
import { Hibiki } from "../../../models/moshi/hibiki.ts";
import { ScriptedModel } from "./scripted-model.ts";

const LAYOUT = { nQ: 4, depQ: 2, delays: [0, 0, 2, 0, 2], textCard: 50, card: 40 };
const EOS = 2;
const PAD = 3;

describe("a translation", () => {
  test("takes an early end of text for a pause, and ends at the first one after the input has ended", async () => {
    // Step 0 and 1 are the first frame, given twice.
    const texts = [PAD, PAD, EOS, PAD, EOS, PAD, EOS];
    const model = new ScriptedModel(2, (t) => ({ text: texts[t]! }));
    const hibiki = new Hibiki(model, LAYOUT);
    const last: boolean[] = [];
    for (const frame of [1, 2, 3]) last.push((await hibiki.step([frame, frame])).last);
    expect([...model.inputs[3]!].slice(0, 1)).toEqual([PAD]);
    last.push((await hibiki.endInput()).last);
    last.push((await hibiki.step([9, 9])).last, (await hibiki.step([9, 9])).last);
    expect(last).toEqual([false, false, false, true, false, true]);
    await expect(hibiki.endInput()).rejects.toThrow("ended before");
  });

  test("is shown its first frame, and the end of its input as codes that no sound has", async () => {
    const model = new ScriptedModel(2, () => ({ text: PAD }));
    const hibiki = new Hibiki(model, LAYOUT);
    await hibiki.step([11, 12]);
    expect([...model.inputs[1]!].slice(3)).toEqual([11, 40]);
    await hibiki.endInput();
    expect(model.inputs[2]![3]).toBe(40);
    // The delayed codebook: its first frame was given in step 0 too, which stands at its delay and is not seen.
    await hibiki.step([9, 9]);
    expect(model.inputs[3]![4]).toBe(12);
    await hibiki.step([9, 9]);
    expect(model.inputs[4]![4]).toBe(40);
    await hibiki.reset();
    await hibiki.step([21, 22]);
    expect(model.inputs[1]![3]).toBe(21);
  });
});
