import type { Gpu } from "./device.ts";
import type { DispatchTarget } from "./plan.ts";
import { Readback, type ReadbackTicket } from "./readback.ts";

/** Dispatches of one command buffer that are timed; those beyond run untimed. WebGPU allows 4096 stamps a set. */
const MAX_TIMED = 2048;
const BYTES_A_STAMP = 8;

/**
 * Times kernels by the device's own clock, for DEBUG=2. Each dispatch runs in a compute pass of its own, which itself costs
 * time: the shares are those of an undisturbed run, their sum is not.
 */
export class KernelTimes {
  readonly #stamps: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readback: Readback;

  private constructor(gpu: Gpu, stamps: GPUQuerySet) {
    this.#stamps = stamps;
    const sizeBytes = 2 * MAX_TIMED * BYTES_A_STAMP;
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    this.#resolved = gpu.device.createBuffer({ label: "kernel times", size: sizeBytes, usage });
    gpu.created.buffers++;
    this.#readback = new Readback(gpu, { buffer: this.#resolved, offset: 0, sizeBytes });
  }

  /** Null if the device was opened without "timestamp-query". */
  static create(gpu: Gpu): KernelTimes | null {
    if (!gpu.features.has("timestamp-query")) return null;
    return new KernelTimes(gpu, gpu.device.createQuerySet({ type: "timestamp", count: 2 * MAX_TIMED }));
  }

  /** What takes the dispatches of one command buffer in place of a compute pass. */
  begin(encoder: GPUCommandEncoder): TimedPasses {
    return new TimedPasses(encoder, this.#stamps);
  }

  /** Records the reading, after the last dispatch. */
  record(encoder: GPUCommandEncoder, passes: TimedPasses): KernelTimesTicket {
    encoder.resolveQuerySet(this.#stamps, 0, 2 * passes.labels.length, this.#resolved, 0);
    return new KernelTimesTicket(passes.labels, this.#readback.record(encoder));
  }
}

/** The times of one command buffer, not read yet. */
export class KernelTimesTicket {
  readonly #labels: readonly string[];
  readonly #ticket: ReadbackTicket;

  constructor(labels: readonly string[], ticket: ReadbackTicket) {
    this.#labels = labels;
    this.#ticket = ticket;
  }

  /** Waits for the submission. Once a ticket. @returns pipeline label -> ms on the device. */
  async read(): Promise<Map<string, number>> {
    const stamps = new BigUint64Array(await this.#ticket.read());
    const times = new Map<string, number>();
    for (const [i, label] of this.#labels.entries()) {
      const ns = Number(stamps[2 * i + 1]! - stamps[2 * i]!);
      times.set(label, (times.get(label) ?? 0) + ns / 1e6);
    }
    return times;
  }
}

/** Writes each dispatch into a pass of its own, with a stamp before and after. */
export class TimedPasses implements DispatchTarget {
  /** Pipeline of each timed dispatch, in order. */
  readonly labels: string[] = [];
  readonly #encoder: GPUCommandEncoder;
  readonly #stamps: GPUQuerySet;
  #pipeline: GPUComputePipeline | null = null;
  #bindGroup: GPUBindGroup | null = null;

  constructor(encoder: GPUCommandEncoder, stamps: GPUQuerySet) {
    this.#encoder = encoder;
    this.#stamps = stamps;
  }

  setPipeline(pipeline: GPUComputePipeline): void {
    this.#pipeline = pipeline;
  }

  setBindGroup(_index: number, bindGroup: GPUBindGroup): void {
    this.#bindGroup = bindGroup;
  }

  dispatchWorkgroups(x: number, y: number, z: number): void {
    const at = 2 * this.labels.length;
    const stamped = this.labels.length < MAX_TIMED;
    if (stamped) this.labels.push(this.#pipeline!.label);
    const timestampWrites = {
      querySet: this.#stamps,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
    const pass = this.#encoder.beginComputePass(stamped ? { timestampWrites } : {});
    pass.setPipeline(this.#pipeline!);
    pass.setBindGroup(0, this.#bindGroup!);
    pass.dispatchWorkgroups(x, y, z);
    pass.end();
  }

  end(): void {
    // Every pass has ended already.
  }
}

/** "matmul 3.21, attention 1.07, ...": ms, the longest first. */
export function kernelTimesLine(times: ReadonlyMap<string, number>): string {
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .map(([label, ms]) => `${label} ${ms.toFixed(2)}`)
    .join(", ");
}
