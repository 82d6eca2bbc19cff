import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readConditions, readVoice } from "../../../models/moshi/conditioners.ts";
import { type MoshiConfig, parseMoshiConfig } from "../../../models/moshi/config.ts";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import type { TensorFile } from "../../../models/tensors/tensor-file.ts";
import { describeWithFixture, expectWithin } from "./fixtures.ts";

/** f32 sums of at most 20 products, beside the original's own. */
const LIMIT = 1e-5;

/** Tensors in memory. */
function tensors(entries: Record<string, [readonly number[], readonly number[]]>): TensorFile {
  return {
    source: "memory",
    tensors: new Map(
      Object.entries(entries).map(([name, [shape]]) => [name, { name, shape, dtype: "F32" }] as const),
    ),
    read: async (name) => Float32Array.from(entries[name]![1]),
    close: async () => {},
  };
}

describe("conditions of a small checkpoint, worked by hand", () => {
  const config = {
    temporal: { dim: 4 },
    conditioners: new Map([
      ["mood", { kind: "lut", nBins: 2, dim: 2, values: ["calm", "loud"] }],
      ["place", { kind: "lut", nBins: 1, dim: 2, values: ["in"] }],
      ["voices", { kind: "tensor", dim: 2 }],
    ]),
    fuser: { sum: ["mood", "place"], cross: ["voices"], crossPositionScale: 2 },
  } as unknown as MoshiConfig;
  const name = (conditioner: string, tensor: string) =>
    `condition_provider.conditioners.${conditioner}.${tensor}`;
  const file = tensors({
    [name("mood", "embed.weight")]: [
      [3, 2],
      [1, 2, 3, 4, 9, 9],
    ],
    [name("mood", "output_proj.weight")]: [
      [4, 2],
      [1, 0, 0, 1, 1, 1, 1, -1],
    ],
    [name("mood", "learnt_padding")]: [
      [1, 1, 4],
      [5, 6, 7, 8],
    ],
    [name("place", "embed.weight")]: [
      [2, 2],
      [1, 1, 9, 9],
    ],
    [name("place", "output_proj.weight")]: [
      [4, 2],
      [10, 0, 20, 0, 30, 0, 40, 0],
    ],
    [name("place", "learnt_padding")]: [
      [1, 1, 4],
      [100, 100, 100, 100],
    ],
    [name("voices", "output_proj.weight")]: [
      [4, 2],
      [1, 0, 0, 1, 0, 0, 1, 1],
    ],
    [name("voices", "learnt_padding")]: [
      [1, 1, 4],
      [0.5, 0.5, 0.5, 0.5],
    ],
  });
  const voice = { values: Float32Array.of(1, 2, 30, 40), dim: 2, frames: 2 };

  test("are summed, and set side by side with their positions", async () => {
    const { sum, cross } = await readConditions(
      file,
      config,
      { mood: "loud", place: "in", voices: [voice] },
      2,
    );
    expect([...sum!]).toEqual([13, 24, 37, 39]);
    // Position p: 2 cos p, 2 cos p / 10000, then the sines.
    const rows = [
      [1, 30, 0, 31],
      [2, 40, 0, 42],
      [0.5, 0.5, 0.5, 0.5],
      [0.5, 0.5, 0.5, 0.5],
    ];
    const expected = rows.flatMap(([a, b, c, d], p) => [
      a! + 2 * Math.cos(p),
      b! + 2 * Math.cos(p / 10_000),
      c! + 2 * Math.sin(p),
      d! + 2 * Math.sin(p / 10_000),
    ]);
    expectWithin(cross!, expected, LIMIT);
  });

  test("that are not said are the learnt padding", async () => {
    const { sum } = await readConditions(file, config, { place: null, voices: [voice] }, 2);
    expect([...sum!]).toEqual([105, 106, 107, 108]);
  });

  test.each([
    [{ tone: "calm" }, "no condition 'tone'"],
    [{ mood: "sad", voices: [voice] }, '"sad" is none of calm, loud'],
    [{ voices: [] }, "one to 2 voices"],
    [{}, "one to 2 voices"],
    [{ voices: [voice, voice, voice] }, "one to 2 voices"],
    [{ voices: [voice, { ...voice, frames: 3 }] }, "voice 1 is [2, 3], expected [2, 2]"],
  ])("refuse %j", async (values, message) => {
    await expect(readConditions(file, config, values, 2)).rejects.toThrow(message);
  });

  test("refuse tensors of another shape", async () => {
    const wrong = tensors({ [name("mood", "learnt_padding")]: [[4], [1, 2, 3, 4]] });
    await expect(readConditions(wrong, config, {}, 2)).rejects.toThrow(
      "learnt_padding is [4], expected [1,1,4]",
    );
    await expect(readVoice(wrong)).rejects.toThrow("speaker_wavs is [absent]");
  });
});

describeWithFixture("b/lm_hibiki", (fixture) => {
  test("gives the original's vectors for each quality and for none", async () => {
    const config = parseMoshiConfig(readFileSync(`${fixture.path}config.json`, "utf8"), "config.json");
    const file = await openSafetensors(`${fixture.path}model.safetensors`);
    const expected = fixture.tensors("conditions.safetensors");
    for (const quality of ["very_good", "very_bad", null]) {
      const { sum } = await readConditions(file, config, { description: quality });
      expectWithin(sum!, expected(quality ?? "absent").data, LIMIT);
    }
    await file.close();
  });
});

describeWithFixture("b/lm_tts", (fixture) => {
  test("gives the original's sum and its voices with their positions", async () => {
    const config = parseMoshiConfig(readFileSync(`${fixture.path}config.json`, "utf8"), "config.json");
    const file = await openSafetensors(`${fixture.path}model.safetensors`);
    const voiceFile = await openSafetensors(`${fixture.path}voice.safetensors`);
    const values = { cfg: "2.0", control: "ok", speaker_wavs: [await readVoice(voiceFile)] };
    const { sum, cross } = await readConditions(file, config, values, 3);
    const expected = fixture.tensors("conditions.safetensors");
    expectWithin(sum!, expected("sum").data, LIMIT);
    expectWithin(cross!, expected("cross").data, LIMIT);
    await Promise.all([file.close(), voiceFile.close()]);
  });
});
