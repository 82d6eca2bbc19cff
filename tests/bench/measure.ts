import { createBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { type Dispatch, record } from "../../src/gpu/plan.ts";

/** What one run of a kernel moves and computes. */
export interface Work {
  /** Bytes that must be read and written at least once. */
  bytes: number;
  /** Products and sums. */
  flops: number;
}

/** Times of one run, ms. */
export interface Times {
  medianMs: number;
  p95Ms: number;
}

/** Rounds that are timed; the kernels run `repeats` times in each, one after the other in one submission. */
const ROUNDS = 15;

/**
 * Times of whatever `round` does `repeats` times over. The first rounds warm up caches and compilers and are dropped.
 */
export async function measure(repeats: number, round: () => Promise<void>): Promise<Times> {
  for (let i = 0; i < 3; i++) await round();
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await round();
    times.push((performance.now() - start) / repeats);
  }
  times.sort((a, b) => a - b);
  return { medianMs: times[Math.floor(ROUNDS / 2)]!, p95Ms: times[Math.ceil(0.95 * ROUNDS) - 1]! };
}

/** Times of one run of the dispatches over `rows` rows, launches included, submission and read-back spread out. */
export function measureDispatches(
  gpu: Gpu,
  dispatches: readonly Dispatch[],
  rows: number,
  repeats = gpu.adapter.isSoftware ? 10 : 200,
): Promise<Times> {
  return measure(repeats, async () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < repeats; i++) record(pass, dispatches, rows);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.device.queue.onSubmittedWorkDone();
    gpu.throwIfFailed();
  });
}

const bandwidths = new WeakMap<Gpu, Promise<number>>();

/** What the device copies from one buffer to another, GB/s, read and written bytes both counted. */
export function copyBandwidth(gpu: Gpu): Promise<number> {
  let bandwidth = bandwidths.get(gpu);
  if (!bandwidth) {
    bandwidth = measureCopy(gpu);
    bandwidths.set(gpu, bandwidth);
  }
  return bandwidth;
}

async function measureCopy(gpu: Gpu): Promise<number> {
  const sizeBytes = (gpu.adapter.isSoftware ? 16 : 256) * 2 ** 20;
  const [from, to] = ["copy source", "copy target"].map((label) => createBuffer(gpu, { label, sizeBytes }));
  const { medianMs } = await measure(1, async () => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(from!.buffer, 0, to!.buffer, 0, sizeBytes);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.device.queue.onSubmittedWorkDone();
  });
  from!.buffer.destroy();
  to!.buffer.destroy();
  return (2 * sizeBytes) / medianMs / 1e6;
}

/** Prints one line that can be pasted: name, median and p95, GB/s and its share of the copy, GFLOP/s, adapter. */
export async function report(gpu: Gpu, name: string, times: Times, work: Work): Promise<void> {
  const gbPerSecond = work.bytes / times.medianMs / 1e6;
  const share = (100 * gbPerSecond) / (await copyBandwidth(gpu));
  const gflops = work.flops / times.medianMs / 1e6;
  process.stdout.write(
    `${name}: median ${times.medianMs.toFixed(3)} ms, p95 ${times.p95Ms.toFixed(3)} ms, ` +
      `${gbPerSecond.toFixed(1)} GB/s (${share.toFixed(0)} % of copy), ${gflops.toFixed(1)} GFLOP/s, ${gpu.adapter.name}\n`,
  );
}
