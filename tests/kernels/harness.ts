import { describe, expect } from "vitest";
import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, subview, uploadBuffer, writeBuffer } from "../../src/gpu/buffers.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { type Dispatch, record } from "../../src/gpu/plan.ts";
import { Readback } from "../../src/gpu/readback.ts";

/** Why there is no device, or null. */
let absent: string | null = null;

async function openShared(): Promise<Gpu | null> {
  try {
    return await openGpu();
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== "gpu-unavailable") throw error;
    if (process.env.REQUIRE_GPU === "1") throw error;
    absent = error.message;
    return null;
  }
}

/** The test file's device. */
const shared = await openShared();

/** A suite that needs a device: skipped, and reported so, where there is none; with REQUIRE_GPU=1 it fails instead. */
export function describeOnGpu(name: string, suite: (gpu: Gpu) => void): void {
  if (shared) describe(`${name} on ${shared.adapter.name}`, () => suite(shared));
  else {
    process.stderr.write(`skipped: ${name}: ${absent}\n`);
    describe.skip(`${name} (no GPU)`, () => suite(null as never));
  }
}

type Data = Float32Array | Uint32Array | Int32Array | Uint16Array | Uint8Array;

export function input(gpu: Gpu, label: string, data: Data): BufferView {
  return uploadBuffer(gpu, { label }, data);
}

/** A step over `rows` rows (see kernels/step.ts). */
export function step(gpu: Gpu, rows: number): BufferView {
  return uploadBuffer(gpu, { label: "step", role: "step" }, Uint32Array.of(rows, 0, 0, 0));
}

const GUARD_BYTES = 256;
const SENTINEL = 0x5e17d00d;

/** An output between two guards. */
export interface GuardedOutput {
  view: BufferView;
  /** What the kernel wrote. Fails if a guard was touched. */
  f32(): Promise<Float32Array>;
  u32(): Promise<Uint32Array>;
}

/** `length` words of NaN between two guards of sentinels; or starting as `initial` for what is updated in place. */
export function output(gpu: Gpu, label: string, length: number, initial?: Data): GuardedOutput {
  const bodyBytes = length * 4;
  const words = new Uint32Array(Math.ceil((2 * GUARD_BYTES + bodyBytes) / 16) * 4).fill(SENTINEL);
  const body = words.subarray(GUARD_BYTES / 4, GUARD_BYTES / 4 + length);
  if (initial) body.set(new Uint32Array(initial.buffer, initial.byteOffset, length));
  else new Float32Array(body.buffer, body.byteOffset, length).fill(Number.NaN);
  const whole = createBuffer(gpu, { label, sizeBytes: words.byteLength });
  writeBuffer(gpu, whole, words);
  const read = async (): Promise<ArrayBuffer> => {
    const bytes = await readBack(gpu, whole);
    const after = new Uint32Array(bytes);
    const guards = [...after.subarray(0, GUARD_BYTES / 4), ...after.subarray(GUARD_BYTES / 4 + length)];
    expect(
      guards.findIndex((word) => word !== SENTINEL),
      `${label}: a write outside the output`,
    ).toBe(-1);
    return bytes.slice(GUARD_BYTES, GUARD_BYTES + bodyBytes);
  };
  return {
    view: subview(whole, GUARD_BYTES, bodyBytes),
    f32: async () => new Float32Array(await read()),
    u32: async () => new Uint32Array(await read()),
  };
}

/** Runs the dispatches over `rows` rows in one submission and waits for the device's complaints. */
export async function run(gpu: Gpu, dispatches: readonly Dispatch[], rows: number): Promise<void> {
  gpu.check(dispatches[0]?.label ?? "run", () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    record(pass, dispatches, rows);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
  await gpu.settle();
}

export async function readBack(gpu: Gpu, view: BufferView): Promise<ArrayBuffer> {
  const encoder = gpu.device.createCommandEncoder();
  const ticket = new Readback(gpu, view, 1).record(encoder);
  gpu.device.queue.submit([encoder.finish()]);
  return ticket.read();
}

/**
 * Fails unless every |actual - expected| <= absolute + relative * |expected|. Written so that NaN fails.
 * Say at the call where the limits come from.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  limits: { absolute: number; relative?: number },
): void {
  expect(actual.length).toBe(expected.length);
  let worst = -1;
  let worstExcess = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    const limit = limits.absolute + (limits.relative ?? 0) * Math.abs(expected[i]!);
    if (!(error <= limit) && !(error - limit <= worstExcess)) {
      worst = i;
      worstExcess = error - limit;
      if (Number.isNaN(error)) break;
    }
  }
  const where = `element ${worst} is ${actual[worst]}, expected ${expected[worst]}`;
  expect(worst, worst < 0 ? "" : where).toBe(-1);
}

/** Normal numbers, the same for the same seed on every machine. */
export function gaussian(seed: number, length: number, scale = 1): Float32Array {
  const uniform = uniformSource(seed);
  return Float32Array.from({ length }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return scale * radius * Math.cos(2 * Math.PI * uniform());
  });
}

/** Whole numbers in [0, bound). */
export function integers(seed: number, length: number, bound: number): Uint32Array {
  const uniform = uniformSource(seed);
  return Uint32Array.from({ length }, () => Math.floor(uniform() * bound));
}

/** Numbers in [0, 1) of a 32-bit xorshift. */
function uniformSource(seed: number): () => number {
  let state = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
