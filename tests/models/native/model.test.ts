import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackendOptions, InputBlock, NativeBackend } from "../../../models/native/backend.ts";
import { GREEDY } from "../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../models/native/checkpoint.ts";
import { type Backends, chooseBackend } from "../../../models/native/choose-backend.ts";
import { loadNativeModel, NativeModel } from "../../../models/native/model.ts";
import { NativeTokenizer } from "../../../models/native/tokenizer.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import type { InputEvent, MicroTurnInput, VideoFrame } from "../../../src/core/micro-turn.ts";
import { seededUniform, TINY_CONFIG, writeRandomCheckpoint } from "./random-checkpoint.ts";

let directory: string;
let checkpoint: Checkpoint;
let tokenizer: NativeTokenizer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "model-"));
  await writeRandomCheckpoint(directory);
  checkpoint = await loadCheckpoint(directory);
  tokenizer = await NativeTokenizer.load(checkpoint);
});
afterAll(() => rm(directory, { recursive: true }));

/** Keeps what it is given and says what it is told. */
class FakeBackend implements NativeBackend {
  readonly kind = "cpu";
  readonly adapter = "fake";
  readonly steps: InputBlock[][] = [];
  output: readonly number[] = [1];
  resets = 0;

  async step(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    this.steps.push([...blocks]);
    return this.output;
  }

  async reset(): Promise<void> {
    this.resets++;
  }

  async close(): Promise<void> {}
}

function fakeModel() {
  const backend = new FakeBackend();
  return { backend, model: new NativeModel(checkpoint, tokenizer, { backend, reason: "a test" }) };
}

function turn(index: number, change: Partial<MicroTurnInput> = {}): MicroTurnInput {
  return { index, startMs: 200 * index, durationMs: 200, audio: null, frames: [], events: [], ...change };
}

const typed = (text: string): InputEvent => ({ kind: "text", timeMs: 0, text });

test("each interval of sound is handed over with the 50 ms before it", async () => {
  const { backend, model } = fakeModel();
  const sound = Float32Array.from({ length: 9600 }, (_, i) => i / 9600);
  await model.step([turn(0, { audio: sound.subarray(0, 3200) })]);
  await model.step([
    turn(1, { audio: sound.subarray(3200, 6400) }),
    turn(2, { audio: sound.subarray(6400, 9600) }),
  ]);
  const [first, second, third] = backend.steps.flat();
  expect(first!.pcm!.subarray(0, 800)).toEqual(new Float32Array(800));
  expect(first!.pcm!.subarray(800)).toEqual(sound.subarray(0, 3200));
  expect(second!.pcm).toEqual(sound.subarray(2400, 6400));
  expect(third!.pcm).toEqual(sound.subarray(5600, 9600));
  await model.reset();
  await model.step([turn(0, { audio: sound.subarray(0, 3200) })]);
  expect(backend.steps.at(-1)![0]!.pcm!.subarray(0, 800)).toEqual(new Float32Array(800));
  await expect(model.step([turn(1, { audio: new Float32Array(3199) })])).rejects.toMatchObject({
    code: "shape-mismatch",
    message: expect.stringContaining("audio holds 3199 elements, expected 3200"),
  });
});

test("typed text, serial lines and reasoner results are read, so much a micro-turn; played words are not", async () => {
  const { backend, model } = fakeModel();
  const events: InputEvent[] = [
    typed("count count count"),
    { kind: "played", timeMs: 1, endMs: 2, text: "nothing" },
    { kind: "serial", timeMs: 2, line: "1" },
    { kind: "device", timeMs: 2, device: "camera", state: "lost", detail: "nothing" },
    {
      kind: "reasoner",
      timeMs: 3,
      task: "t",
      state: "result",
      about: "a sum",
      text: "1",
      ageMs: 0,
      stale: false,
    },
  ];
  for (let k = 0; k < 5; k++) await model.step([turn(k, { events: k === 0 ? events : [] })]);
  const read = backend.steps.map(([block]) => block!.told);
  const expected = ["count count count", "1", "reasoner: 1"].flatMap((text) => tokenizer.encodeTyped(text));
  expect(read.flat()).toEqual(expected);
  const lengths = read.map((told) => told.length);
  expect(lengths.at(-1)).toBe(0);
  expect(lengths).toEqual(lengths.map((_, k) => Math.min(8, Math.max(0, expected.length - 8 * k))));
  expect(read[0]![0]).toBe(3);
});

test("a block that its cap closed is unfinished", async () => {
  const { backend, model } = fakeModel();
  const [, one] = tokenizer.encodeTyped("1");
  backend.output = [one!, one!];
  expect((await model.step([turn(0)])).unfinished).toBe(true);
});

test("the answer carries the last micro-turn's index, the tokens and what they mean", async () => {
  const { backend, model } = fakeModel();
  const [, one] = tokenizer.encodeTyped("1");
  backend.output = [2, one!, 1];
  expect(await model.step([turn(4), turn(5)])).toEqual({
    index: 5,
    tokens: [2, one, 1],
    parts: [{ kind: "yield" }, { kind: "speech", text: " 1" }],
    unfinished: false,
  });
  expect(backend.steps[0]!.map((block) => block.turn)).toEqual([4, 5]);
});

test("a step without input and a step within a step are refused", async () => {
  const { model } = fakeModel();
  await expect(model.step([])).rejects.toThrow(/no micro-turn/);
  const first = model.step([turn(0)]);
  await expect(model.step([turn(1)])).rejects.toThrow(/before the step before it settled/);
  await first;
  await model.step([turn(1)]);
});

test("a session repeats itself after a reset, token for token", async () => {
  const model = await loadNativeModel({ directory, backend: "cpu" });
  expect(model.perception).toEqual({
    microTurnMs: 200,
    audioSampleRateHz: 16000,
    videoFramesPerMicroTurn: 2,
  });
  expect(model.description).toMatchObject({ model: "native/tiny", backend: "cpu", reason: "asked for" });
  const run = async () => {
    const uniform = seededUniform(3);
    const outputs = [];
    for (let k = 0; k < 12; k++) {
      const frame: VideoFrame = {
        captureMs: 200 * k + 50,
        width: 20,
        height: 20,
        rgb: Uint8Array.from({ length: 1200 }, () => 128 + 127 * uniform()),
      };
      const audio = Float32Array.from({ length: 3200 }, () => 0.1 * uniform());
      outputs.push(
        await model.step([turn(k, { audio, frames: [frame], events: k % 3 ? [] : [typed("count 1")] })]),
      );
    }
    return outputs;
  };
  const first = await run();
  await model.reset();
  expect(await run()).toEqual(first);
  expect(new Set(first.flatMap((output) => output.tokens)).size).toBeGreaterThan(5);
  await model.close();
});

function backends(change: Partial<Backends>): Backends {
  const named = (kind: "gpu" | "cpu") => async () => Object.assign(new FakeBackend(), { kind });
  return { hardwareAdapter: async () => "a real card", gpu: named("gpu"), cpu: named("cpu"), ...change };
}

const failing = (code: "gpu-unavailable" | "gpu-compile" | "internal") => async () => {
  throw new RuntimeError(code, { part: "gpu", problem: "only a software adapter was found" });
};

test("auto takes real hardware, and else the processor, and says why", async () => {
  const options: BackendOptions = { checkpoint, sampling: GREEDY, weights: "f32" };
  const choose = async (choice: "auto" | "gpu" | "cpu", change: Partial<Backends> = {}) => {
    const { backend, reason } = await chooseBackend(choice, options, backends(change));
    return `${backend.kind}: ${reason}`;
  };
  expect(await choose("auto")).toBe("gpu: the adapter is real hardware");
  expect(await choose("auto", { hardwareAdapter: failing("gpu-unavailable") })).toBe(
    "cpu: only a software adapter was found",
  );
  expect(await choose("auto", { gpu: failing("gpu-compile") })).toMatch(/^cpu: only a/);
  expect(await choose("gpu", { hardwareAdapter: failing("gpu-unavailable") })).toBe("gpu: asked for");
  expect(await choose("cpu", { hardwareAdapter: failing("internal") })).toBe("cpu: asked for");
  // A fault of ours is not hidden behind the other backend.
  await expect(choose("auto", { gpu: failing("internal") })).rejects.toThrow("software adapter");
  await expect(choose("gpu", { gpu: failing("gpu-unavailable") })).rejects.toMatchObject({
    code: "gpu-unavailable",
  });
});

test("a model of other sizes than the tiny one's speaks too", async () => {
  const other = join(directory, "other");
  await writeRandomCheckpoint(other, { ...TINY_CONFIG, nLayers: 1, nHeads: 2, nKvHeads: 2, ffDim: 96 }, 9);
  const model = await loadNativeModel({ directory: other, backend: "cpu", weights: "q8" });
  const output = await model.step([turn(0, { events: [typed("count")] })]);
  expect(output.tokens.length).toBeGreaterThan(0);
  await model.close();
});
