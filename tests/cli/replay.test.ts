import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { type Parts, shippedParts } from "../../src/cli/parts.ts";
import { replayRecording } from "../../src/cli/replay.ts";
import { run } from "../../src/cli/run.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { TINY_CONFIG, writeRandomCheckpoint } from "../models/native/random-checkpoint.ts";
import { CapturedIo } from "./io.ts";
import { makeTone, makeVideo, temporaryFolder } from "./media.ts";
import { scriptedParts } from "./scripted-model.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const folder = temporaryFolder();
const video = join(folder, "film.mp4");
const tone = join(folder, "tone.wav");
const checkpoint = join(folder, "checkpoint");
/** Of the scripted model, which counts, talks and gives way. */
const scripted = join(folder, "scripted.mcap");
/** Of the random checkpoint, on the CPU backend. */
const random = join(folder, "random.mcap");
let told: Record<string, unknown>[];

async function call(argv: string[], parts: Parts) {
  const io = new CapturedIo();
  const { command, rest } = findCommand(argv);
  const start = command.name === "replay" ? replayRecording : run;
  return { io, status: await start(parseInvocation(command, rest, io), parts) };
}

const silentVoice = { ...shippedParts, voice: async () => new FakeVoice() };

beforeAll(async () => {
  makeVideo(video, 5);
  makeTone(tone, { fromS: 3, toS: 4, seconds: 5, rateHz: 44_100 });
  await writeRandomCheckpoint(checkpoint, TINY_CONFIG, 11);
  const devices = [
    "--camera",
    `file:${video}`,
    "--microphone",
    `file:${tone}`,
    "--clock",
    "virtual",
    "--json",
  ];
  const typed = ["--text", "0:count my reps", "--text", "1:talk"];
  const { io } = await call(["run", ...devices, ...typed, "--record", scripted], scriptedParts());
  told = io.jsonLines().slice(1);
  await call(
    [
      "run",
      ...devices,
      ...typed,
      "--record",
      random,
      "--model",
      checkpoint,
      "--backend",
      "cpu",
      "--seed",
      "3",
    ],
    silentVoice,
  );
});

/** The scripted parts with a model that says another word in one micro-turn. */
function differing(atMicroTurn: number): Parts {
  const parts = scriptedParts();
  return {
    ...parts,
    async loadModel(profile) {
      const model: InteractionModel = await parts.loadModel(profile);
      const step = model.step.bind(model);
      model.step = async (inputs) => {
        const output = await step(inputs);
        if (output.index !== atMicroTurn) return output;
        return { ...output, tokens: [8, 1], parts: [{ kind: "speech", text: " otherwise" }] };
      };
      return model;
    },
  };
}

describe("replay", () => {
  test("tells the recorded session again, and that it came out the same", async () => {
    const { io, status } = await call(["replay", scripted, "--json"], scriptedParts());
    expect(status).toBe(0);
    const lines = io.jsonLines();
    expect(lines.at(-1)).toMatchObject({ kind: "replay", identical: true, cutShort: null, difference: null });
    expect(lines.slice(0, -1)).toEqual(told.slice(0, -1));
    // It is no empty session: it counts, and gives way to the tone.
    expect(told.map(({ kind, name }) => name ?? kind)).toEqual(expect.arrayContaining(["speech", "yield"]));
  });

  test("runs a checkpoint as it was run then, for people", async () => {
    const { io, status } = await call(["replay", random], silentVoice);
    expect(io.stdout).toMatch(/^native\/tiny on cpu/);
    expect(io.stdout).toMatch(/^\d+ micro-turns in \d+ steps: the same tokens and words\n$/m);
    expect(status).toBe(0);
  });

  test("ends with 1 at the first difference, and --diff shows it", async () => {
    const brief = await call(["replay", scripted], differing(9));
    expect(brief.status).toBe(1);
    expect(brief.io.stdout).toContain(
      "9 micro-turns in 9 steps: the same tokens and words, then micro-turn 9 differs",
    );
    const { io, status } = await call(["replay", scripted, "--diff"], differing(9));
    expect(status).toBe(1);
    expect(io.stdout).toMatch(/micro-turn 9: 3200 samples, 2 pictures/);
    expect(io.stdout).toContain('  recorded: [1] " 1 word"\n  replayed: [8, 1] " otherwise"\n');
  });

  test("finds a difference that is in the checkpoint's arithmetic alone", async () => {
    const parts: Parts = {
      ...silentVoice,
      loadModel: (profile) => shippedParts.loadModel({ ...profile, temperature: 1 }),
    };
    const { io, status } = await call(["replay", random, "--json"], parts);
    expect(status).toBe(1);
    expect(io.jsonLines().at(-1)).toMatchObject({
      identical: false,
      difference: { recorded: {}, replayed: {} },
    });
  });

  test("goes as far as a torn file does, and says so", async () => {
    const torn = join(folder, "torn.mcap");
    writeFileSync(torn, readFileSync(scripted));
    truncateSync(torn, readFileSync(scripted).length - 100);
    const { io, status } = await call(["replay", torn], scriptedParts());
    expect(status).toBe(0);
    expect(io.stdout).toMatch(/cut short: .*torn\.mcap ends at byte \d+ without a footer/);
  });
});

describe("replay refuses", () => {
  test("another checkpoint, naming the file that differs", async () => {
    const other = join(folder, "other");
    await cp(checkpoint, other, { recursive: true });
    const bytes = readFileSync(join(other, "model.safetensors"));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(join(other, "model.safetensors"), bytes);
    await expect(call(["replay", random, "--model", other], silentVoice)).rejects.toMatchObject({
      exitCode: 78,
      message: expect.stringMatching(
        /not the checkpoint of native\/tiny.*model\.safetensors is [0-9a-f]{12}, was/,
      ),
    });
    const moved = join(folder, "moved");
    await mkdir(moved);
    await cp(checkpoint, moved, { recursive: true });
    expect((await call(["replay", random, "--model", moved], silentVoice)).status).toBe(0);
  });

  test("a recording whose beginning was deleted to keep the disk in bounds, and says why", async () => {
    const bounded = join(folder, "bounded.mcap");
    const long = ["--text", "0:talk", "--duration", "400", "--clock", "virtual"];
    await call(["run", ...long, "--record", bounded, "--record-limit", "1"], scriptedParts());
    expect(existsSync(bounded)).toBe(false);
    const kept = readdirSync(folder).filter((name) => /^bounded\.\d+\.mcap$/.test(name));
    expect(kept.length).toBeGreaterThan(1);
    await expect(call(["replay", bounded], scriptedParts())).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringMatching(
        /beginning of .*bounded\.mcap was deleted .*begins with .*bounded\.\d+\.mcap\. A model's words depend on all .*--record-limit/,
      ),
    });
    await expect(call(["replay", join(folder, kept[0]!)], scriptedParts())).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("is a later file of a recording"),
    });
  });

  test.each([
    [["replay"], 2, "FILE.mcap is missing"],
    [["replay", join(folder, "absent.mcap")], 69, "there is no file"],
    [["replay", video], 69, "is no recording of a session"],
    [["replay", folder], 69, "cannot be read"],
  ])("%j", async (argv, exitCode, message) => {
    await expect(call(argv, scriptedParts())).rejects.toMatchObject({
      exitCode,
      message: expect.stringContaining(message),
    });
  });
});
