import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { McapIndexedReader, TempBuffer } from "@mcap/core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { RealClock } from "../../src/core/clock.ts";
import type { RuntimeError } from "../../src/core/errors.ts";
import type { RecordedStep } from "../../src/record/format.ts";
import { Recording } from "../../src/record/reader.ts";
import { Recorder, type RecorderOptions } from "../../src/record/recorder.ts";
import { seededUniform } from "../models/native/random-checkpoint.ts";
import { type RandomStep, RECORDER, randomSteps } from "./random-steps.ts";

/** Files are read a hundred times over: minutes, on a machine that has other things to do. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let folder: string;
let made = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "recorder-"));
});
afterAll(() => rm(folder, { recursive: true }));

const newPath = () => join(folder, `r${made++}.mcap`);
const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 1));

async function open(path: string, change: Partial<RecorderOptions> = {}) {
  const faults: RuntimeError[] = [];
  const onStop = (fault: RuntimeError) => faults.push(fault);
  const recorder = await Recorder.open({ ...RECORDER, path, clock: new RealClock(), onStop, ...change });
  return { recorder, faults };
}

async function write(path: string, steps: readonly RandomStep[], change: Partial<RecorderOptions> = {}) {
  const { recorder, faults } = await open(path, change);
  for (const [i, step] of steps.entries()) {
    recorder.step(step);
    recorder.event({ tMs: i, microTurn: 0, kind: "speech", ...{ text: `said ${i}` } });
    if (i % 20 === 0) await nextTurn();
  }
  await recorder.close();
  expect(faults).toEqual([]);
}

async function read(path: string) {
  const recording = await Recording.open(path);
  const steps: RecordedStep[] = [];
  const events: object[] = [];
  for await (const entry of recording.entries()) {
    if (entry.kind === "step") steps.push(entry.step);
    else events.push(entry.event);
  }
  return { steps, events, tear: recording.tear, head: recording.head };
}

describe("what is read back", () => {
  test("is what was recorded, to the bit", async () => {
    const steps = randomSteps({ count: 60 });
    const path = newPath();
    await write(path, steps);
    const back = await read(path);
    expect(back.steps).toEqual(steps);
    expect(back.events).toHaveLength(60);
    expect(back.events[59]).toEqual({ tMs: 59, microTurn: 0, kind: "speech", text: "said 59" });
    expect(back.tear).toBeNull();
    expect(back.head).toMatchObject({ ...RECORDER.head, segment: 0 });
  });

  test("is the copy of what a step lent", async () => {
    const steps = randomSteps({ count: 4 });
    const path = newPath();
    const { recorder } = await open(path);
    const lent = structuredClone(steps);
    for (const step of lent) {
      recorder.step(step);
      for (const { audio, frames } of step.inputs) {
        audio?.fill(9);
        for (const { rgb } of frames) rgb.fill(9);
      }
    }
    await recorder.close();
    expect((await read(path)).steps).toEqual(steps);
  });

  test("has the pictures that the model makes of them", async () => {
    const steps = randomSteps({ count: 8 });
    const path = newPath();
    const dot = (captureMs: number) => ({ captureMs, width: 1, height: 1, rgb: Uint8Array.of(7, 7, 7) });
    await write(path, steps, { reduceFrame: ({ captureMs }) => dot(captureMs) });
    const back = (await read(path)).steps;
    const frames = (list: readonly RecordedStep[]) =>
      list.flatMap(({ inputs }) => inputs.flatMap((input) => [...input.frames]));
    expect(frames(back)).toEqual(frames(steps).map(({ captureMs }) => dot(captureMs)));
  });
});

test("the file is one that MCAP's own reader takes, indexed and with right checksums", async () => {
  const steps = randomSteps({ count: 30 });
  const path = newPath();
  const { recorder } = await open(path);
  for (const step of steps) recorder.step(step);
  recorder.spoken(400, { sampleRateHz: 22_050, samples: Float32Array.of(0, 0.5, -2) });
  await recorder.close();
  const reader = await McapIndexedReader.Initialize({ readable: new TempBuffer(readFileSync(path)) });
  const topics = [...reader.channelsById.values()].map(({ topic }) => topic);
  expect(topics).toEqual(["/microphone", "/camera", "/speaker", "/log", "/micro-turns"]);
  const schemas = [...reader.schemasById.values()].map(({ name, encoding }) => [name, encoding]);
  expect(schemas.map(([name]) => name)).toEqual([
    "foxglove.RawAudio",
    "foxglove.CompressedImage",
    "foxglove.RawAudio",
    "foxglove.Log",
    "microturn.Step",
  ]);
  expect(new Set(schemas.map(([, encoding]) => encoding))).toEqual(new Set(["jsonschema"]));
  const counts = new Map<string, number>();
  for await (const { channelId, data } of reader.readMessages({ validateCrcs: true })) {
    const topic = reader.channelsById.get(channelId)!.topic;
    counts.set(topic, (counts.get(topic) ?? 0) + 1);
    const body = JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>;
    if (topic === "/camera") expect(body.format).toBe("png");
    if (topic === "/speaker") {
      expect(body).toMatchObject({ format: "pcm-s16", sample_rate: 22_050, number_of_channels: 1 });
      // 0, half of full scale, and what is beyond it held at its end.
      expect([...new Int16Array(new Uint8Array(Buffer.from(String(body.data), "base64")).buffer)]).toEqual([
        0, 16_384, -32_768,
      ]);
    }
  }
  expect(counts.get("/micro-turns")).toBe(30);
  expect(counts.get("/speaker")).toBe(1);
  expect(reader.statistics?.messageCount).toBe(BigInt([...counts.values()].reduce((a, b) => a + b)));
});

describe("a damaged file", () => {
  // Few pictures: the file is read some eighty times.
  const steps = randomSteps({ count: 24 }).map((step, i) => ({
    ...step,
    inputs: step.inputs.map((input) => (i % 8 === 3 ? input : { ...input, frames: [] })),
  }));
  let whole: Buffer;
  const torn = () => join(folder, "torn.mcap");

  beforeAll(async () => {
    const path = newPath();
    const { recorder } = await open(path);
    for (const [i, step] of steps.entries()) {
      recorder.step(step);
      // Several chunks, by the recorder's own clock.
      if (i % 8 === 7) await new Promise((resolve) => setTimeout(resolve, 700));
    }
    await recorder.close();
    whole = await readFile(path);
  });

  /** What can be read of it, which is never anything but a beginning of the truth; null if it has no head. */
  async function readable(): Promise<{ count: number; torn: boolean } | null> {
    try {
      const back = await read(torn());
      expect(back.steps).toEqual(steps.slice(0, back.steps.length));
      return { count: back.steps.length, torn: back.tear !== null };
    } catch (fault) {
      expect(fault).toMatchObject({ code: "invalid-media" });
      return null;
    }
  }

  test("gives all up to the tear, wherever it was torn", async () => {
    const lengths = [0, 1, 8, 9, whole.length - 1, whole.length - 9];
    for (let i = 1; i <= 40; i++) lengths.push(Math.floor((whole.length * i) / 41));
    let before = -1;
    const counts = new Set<number>();
    for (const length of lengths.sort((a, b) => a - b)) {
      await writeFile(torn(), whole);
      await truncate(torn(), length);
      const result = await readable();
      if (result) expect(result.torn, `${length} bytes`).toBe(true);
      const count = result?.count ?? -1;
      expect(count).toBeGreaterThanOrEqual(before);
      before = count;
      counts.add(count);
    }
    expect(before).toBe(24);
    // It does come in pieces: a file of one chunk would be all or nothing.
    expect(counts.size).toBeGreaterThan(3);
  });

  test("gives a true beginning, whatever bits are flipped", async () => {
    const uniform = seededUniform(5);
    let noticed = 0;
    for (let i = 0; i < 40; i++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(((uniform() + 1) / 2) * bytes.length);
      bytes[at]! ^= 1 << (i % 8);
      await writeFile(torn(), bytes);
      const result = await readable();
      if (result === null || result.torn) noticed++;
    }
    // Bits of the summary and of a chunk's index do no harm; those of the data are nearly all of the file.
    expect(noticed).toBeGreaterThan(20);
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("a text of some length, but no recording")],
    ["zeros", Buffer.alloc(100_000)],
  ])("%s is no recording", async (_, bytes) => {
    await writeFile(torn(), bytes);
    await expect(Recording.open(torn())).rejects.toMatchObject({ code: "invalid-media", exitCode: 69 });
  });

  test("that is not there is said to be missing", async () => {
    await expect(Recording.open(join(folder, "absent.mcap"))).rejects.toMatchObject({ code: "missing-file" });
  });
});

describe("rotation", () => {
  const size = [20, 20] as const;
  const steps = randomSteps({ count: 100, size });

  test("cuts a recording into files that read as one", async () => {
    const path = newPath();
    // An eighth of it a file, and all fit.
    await write(path, steps, { limitBytes: 1_000_000 });
    const files = readdirSync(folder).filter((name) => join(folder, name).startsWith(path.slice(0, -5)));
    expect(files.length).toBeGreaterThan(2);
    const back = await read(path);
    expect(back.steps).toEqual(steps);
    expect(back.events).toHaveLength(100);
    const later = path.replace(".mcap", ".1.mcap");
    await expect(Recording.open(later)).rejects.toThrow(/later file of a recording/);
    // A hole ends it, and is told.
    await rm(path.replace(".mcap", ".2.mcap"));
    const holed = await read(path);
    expect(holed.steps.length).toBeLessThan(100);
    expect(holed.tear).toEqual({
      path: path.replace(".mcap", ".2.mcap"),
      problem: `is missing, and ${files.length - 3} later file(s) cannot be used`,
    });
  });

  test("keeps the disk in bounds, and says that the beginning is gone", async () => {
    const path = newPath();
    const limitBytes = 160_000;
    await write(path, steps, { limitBytes });
    const stem = path.slice(folder.length + 1, -5);
    const files = readdirSync(folder).filter((name) => name.startsWith(`${stem}.`));
    const total = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    // A file is closed when it has passed an eighth, by one step at most.
    expect(total).toBeLessThan(1.3 * limitBytes);
    expect(existsSync(path)).toBe(false);
    await expect(Recording.open(path)).rejects.toThrow(/beginning of .* was deleted.*--record-limit/);
  });
});

describe("when it cannot be written", () => {
  test("a recording of that name is not overwritten", async () => {
    const path = newPath();
    await write(path, randomSteps({ count: 1 }));
    await expect(open(path)).rejects.toMatchObject({ code: "invalid-argument" });
    expect((await read(path)).steps).toHaveLength(1);
  });

  test("a folder that cannot be made is said before the session begins", async () => {
    const path = newPath();
    await writeFile(path, "a file");
    await expect(open(join(path, "deeper.mcap"))).rejects.toMatchObject({ code: "output-failed" });
  });

  test("a disk that is too slow ends the recording, once, and what was written stays", async () => {
    const path = newPath();
    const { recorder, faults } = await open(path);
    const [step] = randomSteps({ count: 1 });
    const large = { ...step!, inputs: [{ ...step!.inputs[0]!, audio: new Float32Array(1_000_000) }] };
    recorder.step(step!);
    const { size } = statSync(path);
    while (statSync(path).size === size) await nextTurn();
    // Without a turn of the event loop nothing of this is written: 4 MB each.
    for (let i = 0; i < 30; i++) recorder.step(large);
    await recorder.close();
    expect(faults).toHaveLength(1);
    expect(faults[0]!.message).toMatch(/more slowly than the session/);
    const back = await read(path);
    expect(back.tear).not.toBeNull();
    expect(back.steps[0]).toEqual(step);
  });
});
