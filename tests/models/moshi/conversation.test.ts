import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversationOf, usualConversation } from "../../../models/moshi/conversation.ts";

const SAYS_NOTHING = {
  sampling: { audioTemperature: null, audioTopK: null, textTemperature: null, textTopK: null },
};
const NO_PERSONA = { voice: null, role: "" };
const usualOf = (persona: { voice: string | null; role: string } = NO_PERSONA) =>
  usualConversation({ kind: "personaplex", config: SAYS_NOTHING }, { temperature: null, seed: 7, persona });

let root: string;
let files: { kind: "personaplex"; directory: string };

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "moshi-"));
  files = { kind: "personaplex", directory: join(root, "checkpoint") };
  const voices = join(files.directory, "voices");
  await mkdir(voices, { recursive: true });
  await writeFile(join(voices, "NATF0.safetensors"), "");
  await writeFile(join(voices, "my voice.safetensors"), "");
  await writeFile(join(voices, "NATM1.pt"), "");
  await writeFile(join(root, "secret.safetensors"), "");
  await writeFile(join(files.directory, "model.safetensors"), "");
});
afterAll(() => rm(root, { recursive: true }));

describe("a conversation that nobody wishes otherwise", () => {
  test("is as published where the checkpoint says nothing, and greedy in speech to text", () => {
    expect(usualOf().draws).toEqual({
      text: { temperature: 0.7, topK: 25 },
      audio: { temperature: 0.8, topK: 250 },
      textSeed: 7,
      audioSeed: 7,
    });
    const settings = { temperature: null, seed: 0, persona: NO_PERSONA };
    expect(usualConversation({ kind: "stt", config: SAYS_NOTHING }, settings).draws.text.temperature).toBe(0);
  });

  test("is as the checkpoint says, and before that as the profile says", () => {
    const config = { sampling: { audioTemperature: 0.1, audioTopK: 2, textTemperature: 0.3, textTopK: 4 } };
    const settings = { temperature: null, seed: 0, persona: NO_PERSONA };
    const said = usualConversation({ kind: "moshi", config }, settings).draws;
    expect([said.audio, said.text]).toEqual([
      { temperature: 0.1, topK: 2 },
      { temperature: 0.3, topK: 4 },
    ]);
    const asked = usualConversation({ kind: "moshi", config }, { ...settings, temperature: 0.9 }).draws;
    expect([asked.audio.temperature, asked.text.temperature]).toEqual([0.9, 0.9]);
  });
});

describe("a conversation that is wished for", () => {
  test("has what was wished, and of the rest what is usual", async () => {
    const usual = usualOf({ voice: "/elsewhere/own.safetensors", role: "A cook." });
    expect(await conversationOf(files, usual, {})).toEqual({
      draws: { ...usual.draws, textPaddingBonus: 0 },
      persona: usual.persona,
    });
    const wishes = { textTemperature: 0.5, audioTopK: 9, textSeed: 1, padMultiplier: -2, role: "A poet." };
    expect(await conversationOf(files, usual, wishes)).toEqual({
      draws: {
        text: { temperature: 0.5, topK: 25 },
        audio: { temperature: 0.8, topK: 9 },
        textSeed: 1,
        audioSeed: 7,
        textPaddingBonus: -1,
      },
      persona: { voice: "/elsewhere/own.safetensors", role: "A poet." },
    });
  });

  test("multiplies the probability of padding by e to the given power", async () => {
    const { draws } = await conversationOf(files, usualOf(), { textTemperature: 0.4, padMultiplier: 1.5 });
    const probability = (logit: number) => Math.exp(logit / 0.4);
    // Worked by the definition: p' / p = e^1.5 for a logit of 3.
    expect(probability(3 + draws.textPaddingBonus!) / probability(3)).toBeCloseTo(Math.exp(1.5), 9);
    const greedy = await conversationOf(files, usualOf(), { textTemperature: 0, padMultiplier: 20 });
    expect(greedy.draws.textPaddingBonus).toBe(0);
  });

  test.each(["NATF0", "NATF0.pt", "NATF0.safetensors"])(
    "has the voice %s of the checkpoint",
    async (voice) => {
      const { persona } = await conversationOf(files, usualOf(), { voice });
      expect(persona.voice).toBe(join(files.directory, "voices", "NATF0.safetensors"));
    },
  );

  test.each([
    "../../secret",
    "../model",
    "../../secret.safetensors",
    "..",
    ".",
    "",
    "/",
    "NATF0/../NATF0",
    "./NATF0",
    "voices/NATF0",
    "NATF0\0",
    "NATF0.safetensors\0.pt",
    "NATF0\n",
    "natf0",
    "..\\NATF0",
    "..／..／secret",
    "NATF0.pt.pt",
    "*",
    "NATM1",
    "__proto__",
    "x".repeat(100_000),
  ])("is refused with the voice %j, and told of those that there are", async (voice) => {
    await expect(conversationOf(files, usualOf(), { voice })).rejects.toMatchObject({
      code: "invalid-argument",
      part: "voice",
      message: expect.stringContaining("Say one of NATF0, my voice"),
    });
  });

  test("is refused by an absolute path, also of a voice that is there", async () => {
    for (const voice of [join(root, "secret"), join(files.directory, "voices", "NATF0.safetensors")]) {
      await expect(conversationOf(files, usualOf(), { voice })).rejects.toThrow(/there is no voice/);
    }
  });

  test("is refused a voice where there are none, and a persona where the model has none", async () => {
    const bare = { kind: "personaplex", directory: root } as const;
    await expect(conversationOf(bare, usualOf(), { voice: "NATF0" })).rejects.toThrow(/has no voices/);
    for (const wishes of [{ voice: "NATF0" }, { role: "A cook." }]) {
      await expect(conversationOf({ ...files, kind: "moshi" }, usualOf(), wishes)).rejects.toMatchObject({
        code: "invalid-argument",
        message: expect.stringContaining("of kind moshi"),
      });
    }
  });

  test("may have a voice whose file is a link, as the hub's cache has them", async () => {
    const link = join(files.directory, "voices", "LINK.safetensors");
    await symlink(join(root, "secret.safetensors"), link);
    expect((await conversationOf(files, usualOf(), { voice: "LINK" })).persona.voice).toBe(link);
    await rm(link);
  });
});
