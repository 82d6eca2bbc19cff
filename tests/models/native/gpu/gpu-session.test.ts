import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { ROW_KIND } from "../../../../kernels/step.ts";
import {
  GREEDY,
  type InputBlock,
  type Sampling,
  type WeightFormat,
} from "../../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../../models/native/checkpoint.ts";
import { SAID_SLOT, SLOTS_PER_TURN } from "../../../../models/native/config.ts";
import { createCpuBackend } from "../../../../models/native/cpu/cpu-backend.ts";
import { GpuSession } from "../../../../models/native/gpu/gpu-session.ts";
import { planInput, type TokenCounts } from "../../../../models/native/sequence.ts";
import { Readback } from "../../../../src/gpu/readback.ts";
import { watch } from "../../../gpu/watch.ts";
import { describeOnGpu, expectClose, readBack } from "../../../kernels/harness.ts";
import { writeRandomCheckpoint } from "../random-checkpoint.ts";
import { randomBlocks, type ScenarioOptions } from "../scenario.ts";

/** A tiny network out of the training script. */
const TRAINED = fileURLToPath(new URL("../../../fixtures/native-tiny/", import.meta.url));

let directory: string;
let checkpoint: Checkpoint;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "gpu-"));
  await writeRandomCheckpoint(directory);
  checkpoint = await loadCheckpoint(directory);
});
afterAll(() => rm(directory, { recursive: true }));

type Tokens = readonly number[];

interface Speaker {
  step(blocks: readonly InputBlock[]): Promise<Tokens>;
}

async function speak(speaker: Speaker, steps: readonly (readonly InputBlock[])[]): Promise<Tokens[]> {
  const spoken: Tokens[] = [];
  for (const blocks of steps) spoken.push(await speaker.step(blocks));
  return spoken;
}

const oneByOne = (blocks: readonly InputBlock[]): InputBlock[][] => blocks.map((block) => [block]);

async function onCpu(
  steps: readonly (readonly InputBlock[])[],
  sampling: Sampling = GREEDY,
  weights: WeightFormat = "f32",
): Promise<Tokens[]> {
  const backend = await createCpuBackend({ checkpoint, sampling, weights });
  const spoken = await speak(backend, steps);
  await backend.close();
  return spoken;
}

/** Reads a block in, then asks for one token at a time, each with a submission and a read-back of its own. */
async function speakStepwise(session: GpuSession, counts: TokenCounts, block: InputBlock): Promise<number[]> {
  const { gpu, network } = session;
  const { config } = checkpoint;
  const { state } = network;
  const rows = planInput(config, counts, block).map(({ kind, value, position, cacheSlot }) => ({
    position,
    cacheSlot,
    kind: ROW_KIND[kind],
    index: kind === "clock" ? block.turn : value,
  }));
  state.input.write({
    rows,
    pcm: block.pcm,
    video: block.video,
    turn: {
      ...GREEDY,
      saidPosition: SLOTS_PER_TURN * block.turn + SAID_SLOT,
      saidCount: counts.said,
      saidStart: state.layout.saidStart,
      saidCapacity: state.layout.saidTokens,
      maxTokens: config.limits.outputTokensPerMicroTurn,
      nextToken: config.tokens.next,
    },
  });
  const readback = new Readback(gpu, state.block, 1);
  const run = { rows: rows.length, hears: block.pcm !== null, sees: block.video !== null, speaks: true };
  for (let n = 0; ; n++) {
    const encoder = gpu.device.createCommandEncoder();
    if (n === 0) encoder.clearBuffer(state.block.buffer, 0, 4);
    const pass = encoder.beginComputePass();
    if (n === 0) network.recordInput(pass, run);
    else network.recordDecodeStep(pass);
    pass.end();
    const ticket = readback.record(encoder);
    gpu.device.queue.submit([encoder.finish()]);
    const words = new Uint32Array(await ticket.read());
    const tokens = [...words.subarray(1, 1 + words[0]!)];
    expect(tokens.length).toBe(n + 1);
    const isClosed = tokens.at(-1) === config.tokens.next || n + 1 === config.limits.outputTokensPerMicroTurn;
    if (!isClosed) continue;
    counts.told += block.told.length;
    counts.said += tokens.length - 1;
    return tokens;
  }
}

/** Positions of what the cache's slots hold. */
async function slotPositions(session: GpuSession): Promise<Uint32Array> {
  return new Uint32Array(await readBack(session.gpu, session.network.state.slotPositions));
}

describeOnGpu("GPU session", () => {
  const create = (sampling: Sampling = GREEDY, weights: WeightFormat = "f32") =>
    GpuSession.create({ checkpoint, sampling, weights });

  /** Greedy, f32, and empty at the start of each test. */
  let session: GpuSession;
  beforeAll(async () => {
    session = await create();
  });
  beforeEach(() => session.reset());
  afterAll(() => session.close());

  it.each<[string, ScenarioOptions]>([
    ["sound, pictures and text", { turns: 60, seed: 5 }],
    ["pictures and text", { turns: 40, seed: 6, hears: false }],
    ["sound and text", { turns: 40, seed: 7, sees: false }],
    ["text alone", { turns: 40, seed: 8, hears: false, sees: false }],
    ["positions past 2^30", { turns: 20, seed: 10, firstTurn: 2 ** 24 + 5 }],
  ])("says what the CPU backend says over a whole session: %s", async (_, options) => {
    const { limits, tokens: special } = checkpoint.config;
    const steps = oneByOne(randomBlocks(checkpoint.config, options));
    const spoken = await speak(session, steps);
    expect(spoken).toEqual(await onCpu(steps));
    // Worth the name: blocks end in both ways.
    expect(spoken.some((tokens) => tokens.at(-1) === special.next)).toBe(true);
    expect(spoken.some((tokens) => tokens.length === limits.outputTokensPerMicroTurn)).toBe(true);
  });

  it("says what the CPU backend says with the network that was trained", async () => {
    const trained = await loadCheckpoint(TRAINED);
    const steps = oneByOne(randomBlocks(trained.config, { turns: 25, seed: 19 }));
    const options = { checkpoint: trained, sampling: GREEDY, weights: "as-stored" } as const;
    const [gpu, cpu] = [await GpuSession.create(options), await createCpuBackend(options)];
    expect(await speak(gpu, steps)).toEqual(await speak(cpu, steps));
    await gpu.close();
    await cpu.close();
  });

  it("says the same in one submission as token by token", async () => {
    const blocks = randomBlocks(checkpoint.config, { turns: 40, seed: 15 });
    const batched = await speak(session, oneByOne(blocks));
    await session.reset();
    const counts = { told: 0, said: 0 };
    const stepwise: Tokens[] = [];
    for (const block of blocks) stepwise.push(await speakStepwise(session, counts, block));
    expect(stepwise).toEqual(batched);
  });

  it("hears late micro-turns in order and answers only the last", async () => {
    const blocks = randomBlocks(checkpoint.config, { turns: 24, seed: 11 });
    const steps: InputBlock[][] = [];
    for (let i = 0; i < blocks.length; i += 3) steps.push(blocks.slice(i, i + 1), blocks.slice(i + 1, i + 3));
    expect(await speak(session, steps)).toEqual(await onCpu(steps));
  });

  it("runs a session after a reset as the first", async () => {
    const steps = oneByOne(randomBlocks(checkpoint.config, { turns: 12, seed: 12 }));
    const first = await speak(session, steps);
    await session.reset();
    expect(await speak(session, steps)).toEqual(first);
  });

  it("makes nothing on the device once it runs", async () => {
    const blocks = randomBlocks(checkpoint.config, { turns: 12, seed: 14 });
    const before = { ...session.gpu.created };
    expect(before.buffers).toBeGreaterThan(0);
    await speak(session, oneByOne(blocks));
    await session.reset();
    await session.step(blocks.slice(0, 3));
    expect(session.gpu.created).toEqual(before);
  });

  it("writes once, submits once and maps once for each micro-turn, and asks the device for nothing else", async () => {
    const blocks = randomBlocks(checkpoint.config, { turns: 4, seed: 14 });
    const { device } = session.gpu;
    const calls: string[] = [];
    const watched = [
      watch(calls, device, /^(create|import)/),
      watch(calls, device.queue, /^(submit|write|copy)/),
      watch(calls, session.network.state.block.buffer, /^mapAsync$/),
    ];
    try {
      const spoken = await speak(session, oneByOne(blocks));
      expect(Math.max(...spoken.map((tokens) => tokens.length))).toBeGreaterThan(2);
    } finally {
      for (const restore of watched) restore();
    }
    const perTurn = ["writeBuffer", "createCommandEncoder", "submit", "mapAsync"];
    expect(calls).toEqual(blocks.flatMap(() => perTurn));
  });

  it("takes six or seven dispatches a layer", () => {
    const { network } = session;
    expect(network.dispatchesPerLayer).toBeGreaterThanOrEqual(6);
    expect(network.dispatchesPerLayer).toBeLessThanOrEqual(7);
    // Embedding and, at the end, norm, logits and sampler.
    const counts = network.countDispatches({ rows: 9, hears: true, sees: true, speaks: true });
    expect(counts.decodeStep).toBe(checkpoint.config.nLayers * network.dispatchesPerLayer + 4);
  });

  it("refuses a block of another length, by name", async () => {
    const block = { turn: 0, pcm: new Float32Array(3), video: null, told: [] };
    await expect(session.step([block])).rejects.toThrow(/pcm holds 3 samples/);
  });

  it("samples what the CPU backend samples", async () => {
    const steps = oneByOne(randomBlocks(checkpoint.config, { turns: 25, seed: 13 }));
    const sampling = { temperature: 1, topK: 20, seed: 77 };
    const sampler = await create(sampling);
    expect(await speak(sampler, steps)).toEqual(await onCpu(steps, sampling));
    await sampler.close();
  });

  it("goes on after the device was lost, as if it had not been", async () => {
    // Within the first window, so that the replayed memory is the whole memory.
    const { perceptionTurns } = checkpoint.config.memory;
    const blocks = randomBlocks(checkpoint.config, { turns: perceptionTurns, seed: 16 });
    const unbroken = await speak(session, oneByOne(blocks));
    await session.reset();
    const broken: Tokens[] = [];
    for (const [i, block] of blocks.entries()) {
      if (i === 2) session.gpu.device.destroy();
      const step = session.step([block]);
      // In the middle of a step, too.
      if (i === 4) session.gpu.device.destroy();
      broken.push(await step);
    }
    expect(broken).toEqual(unbroken);
    expect(unbroken.flat().length).toBeGreaterThan(perceptionTurns);
  });

  it("fills a lost memory again token by token, where a block is longer than the ring of what was said", async () => {
    const { config } = checkpoint;
    const short = { ...checkpoint, config: { ...config, memory: { ...config.memory, saidTokens: 3 } } };
    const forgetful = await GpuSession.create({ checkpoint: short, sampling: GREEDY, weights: "f32" });
    const blocks = randomBlocks(config, { turns: config.memory.perceptionTurns, seed: 16 });
    const keys = async (): Promise<Float32Array> =>
      new Float32Array(await readBack(forgetful.gpu, forgetful.network.state.caches.at(-1)!.keys));
    const unbroken = await speak(forgetful, oneByOne(blocks));
    const before = await keys();
    await forgetful.reset();
    const broken = await speak(forgetful, oneByOne(blocks.slice(0, -1)));
    forgetful.gpu.device.destroy();
    broken.push(await forgetful.step(blocks.slice(-1)));
    expect(broken).toEqual(unbroken);
    expect(Math.max(...unbroken.slice(0, -1).map((tokens) => tokens.length - 1))).toBeGreaterThan(3);
    // The same sums in the same order, but for how many rows share a reading of a matrix.
    expectClose(await keys(), before, { absolute: 1e-5 });
    await forgetful.close();
  });

  it("remembers after a loss what the rings remember", async () => {
    const { config } = checkpoint;
    const blocks = randomBlocks(config, { turns: 30, seed: 17 });
    await speak(session, oneByOne(blocks.slice(0, 25)));
    const before = await slotPositions(session);
    session.gpu.device.destroy();
    const lost = await session.step([blocks[25]!]);
    expect(lost.length).toBeGreaterThan(0);
    const after = await slotPositions(session);
    // The slots that the step after the loss did not write hold what they held, but for sound and pictures that have
    // faded, which no token sees any more.
    const now = blocks[25]!.turn;
    const turnOf = (position: number) => Math.floor(position / SLOTS_PER_TURN);
    const { toldStart } = session.network.state.layout;
    const visible = (slot: number) =>
      slot >= toldStart || now - turnOf(before[slot]!) < config.memory.perceptionTurns;
    const changed = [...before.keys()].filter((slot) => visible(slot) && turnOf(after[slot]!) !== now);
    expect(changed.filter((slot) => after[slot] !== before[slot])).toEqual([]);
    expect(changed.length).toBeGreaterThan(20);
  });

  it.each<WeightFormat>(["f16", "q8"])("runs with %s weights, close to f32", async (weights) => {
    const steps = oneByOne(randomBlocks(checkpoint.config, { turns: 30, seed: 18 }));
    const rounded = await create(GREEDY, weights);
    const first = (await speak(rounded, steps)).map((tokens) => tokens[0]);
    const exact = (await speak(session, steps)).map((tokens) => tokens[0]);
    const agreeing = first.filter((token, i) => token === exact[i]).length;
    // Rounded weights change close calls, and what was said then changes what follows.
    expect(agreeing).toBeGreaterThanOrEqual(weights === "f16" ? 27 : 15);
    await rounded.close();
  });
});
