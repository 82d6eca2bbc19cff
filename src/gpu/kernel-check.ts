import { RuntimeError } from "../core/errors.ts";
import type { BufferView } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { type Dispatch, record } from "./plan.ts";

/** Whether CHECK=1 asks for every kernel of a running model to be compared with its reference. */
export const checkRequested: boolean = process.env.CHECK === "1";

/** Buffers under the names that a check gives them. */
export type Views = Readonly<Record<string, BufferView>>;

/** What buffers held at one moment. */
export class Snapshot {
  readonly #contents: ReadonlyMap<string, ArrayBuffer>;

  constructor(contents: ReadonlyMap<string, ArrayBuffer>) {
    this.#contents = contents;
  }

  f32(name: string): Float32Array {
    return new Float32Array(this.bytes(name));
  }

  u32(name: string): Uint32Array {
    return new Uint32Array(this.bytes(name));
  }

  /** @throws RuntimeError "internal" for a name that the check did not ask for. */
  bytes(name: string): ArrayBuffer {
    const bytes = this.#contents.get(name);
    if (bytes) return bytes;
    throw new RuntimeError("internal", { part: "kernel check", problem: `${name} was not read` });
  }
}

/** An output of a kernel beside what the reference gives. */
export interface Comparison {
  /** Of the output: "out", "keys". */
  name: string;
  actual: ArrayLike<number>;
  expected: ArrayLike<number>;
  /** The largest difference at element `i` that rounding explains; at least 0. */
  limit: (i: number) => number;
}

/** Sets a run over `rows` rows beside its reference. */
export type Compare = (rows: number, before: Snapshot, after: Snapshot) => readonly Comparison[];

/** What a kernel reads and writes, and what it must compute. */
export interface KernelCheck {
  /** Names the kernel in messages: "decode layers.2.attention". */
  readonly label: string;
  /** Weights and tables. Read once, before the first run: what changes them later is found out. */
  readonly constants: Views;
  /** What the reference takes, read before each run. */
  readonly before: Views;
  /** What the kernel writes, read after each run. */
  readonly after: Views;
  prepare(constants: Snapshot): Compare;
}

/** The dispatches that do one operation together, and how they are checked. */
export interface Kernel {
  readonly dispatches: readonly Dispatch[];
  readonly check: KernelCheck;
}

/**
 * Runs kernels one by one and compares what each has written with its reference, in double precision on the host: for
 * CHECK=1. It makes buffers as it goes and is slower than a model by orders of magnitude.
 */
export class KernelChecker {
  readonly #gpu: Gpu;
  readonly #prepared = new Map<KernelCheck, Compare>();
  #runs = 0;
  #worstShare = 0;
  #worstLabel = "";

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** "214 kernel runs agree with their references; the largest difference is 12 % of its limit (decode layers.2.attention)". */
  get summary(): string {
    const agree = `${this.#runs} kernel runs agree with their references`;
    if (this.#runs === 0) return "no kernel ran";
    return `${agree}; the largest difference is ${(100 * this.#worstShare).toFixed(0)} % of its limit (${this.#worstLabel})`;
  }

  /**
   * Runs `kernels` over `rows` rows, in order, up to the first that is wrong.
   *
   * @param where For the message: "micro-turn 12".
   * @throws RuntimeError "kernel-mismatch" naming the kernel and the element, "gpu-device-lost".
   */
  async run(kernels: readonly Kernel[], rows: number, where: string): Promise<void> {
    for (const { dispatches, check } of kernels) {
      const compare = await this.#compareOf(check);
      const { before, after } = await this.#observe(check, dispatches, rows);
      this.#gpu.throwIfFailed();
      for (const comparison of compare(rows, before, after)) {
        this.#judge(check.label, where, comparison);
      }
      this.#runs++;
    }
  }

  /** What a buffer holds once all that was submitted has run. */
  async read(view: BufferView): Promise<Uint32Array> {
    const { before } = await this.#observe({ before: { view }, after: {} }, [], 1);
    return before.u32("view");
  }

  async #compareOf(check: KernelCheck): Promise<Compare> {
    const known = this.#prepared.get(check);
    if (known) return known;
    const { before: constants } = await this.#observe({ before: check.constants, after: {} }, [], 1);
    const compare = check.prepare(constants);
    this.#prepared.set(check, compare);
    return compare;
  }

  /** One submission: copies of what stands before, the dispatches, copies of what they have written. */
  async #observe(
    views: { before: Views; after: Views },
    dispatches: readonly Dispatch[],
    rows: number,
  ): Promise<{ before: Snapshot; after: Snapshot }> {
    const { device } = this.#gpu;
    const places: { name: string; view: BufferView; at: number; isBefore: boolean }[] = [];
    let end = 0;
    for (const isBefore of [true, false]) {
      for (const [name, view] of Object.entries(isBefore ? views.before : views.after)) {
        places.push({ name, view, at: end, isBefore });
        end += Math.ceil(view.sizeBytes / 8) * 8; // what is mapped begins at multiples of 8 bytes
      }
    }
    const staging = this.#gpu.check("kernel check", () =>
      device.createBuffer({
        label: "kernel check",
        size: Math.max(8, end),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    );
    try {
      const encoder = device.createCommandEncoder({ label: "kernel check" });
      const copy = (isBefore: boolean): void => {
        for (const { view, at } of places.filter((place) => place.isBefore === isBefore)) {
          encoder.copyBufferToBuffer(view.buffer, view.offset, staging, at, view.sizeBytes);
        }
      };
      copy(true);
      if (dispatches.length > 0) {
        const pass = encoder.beginComputePass();
        record(pass, dispatches, rows);
        pass.end();
      }
      copy(false);
      device.queue.submit([encoder.finish()]);
      await this.#map(staging);
      const contents = { before: new Map<string, ArrayBuffer>(), after: new Map<string, ArrayBuffer>() };
      for (const { name, view, at, isBefore } of places) {
        const bytes = staging.getMappedRange(at, view.sizeBytes).slice(0);
        contents[isBefore ? "before" : "after"].set(name, bytes);
      }
      return { before: new Snapshot(contents.before), after: new Snapshot(contents.after) };
    } finally {
      staging.destroy();
    }
  }

  async #map(staging: GPUBuffer): Promise<void> {
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch (cause) {
      // What the device has to say comes a turn later.
      await new Promise((done) => setImmediate(done));
      await this.#gpu.settle();
      throw new RuntimeError("internal", {
        part: "kernel check",
        problem: "the buffers could not be mapped",
        cause,
      });
    }
  }

  #judge(label: string, where: string, { name, actual, expected, limit }: Comparison): void {
    for (let i = 0; i < expected.length; i++) {
      const error = Math.abs(actual[i]! - expected[i]!);
      if (!(error <= limit(i))) {
        throw new RuntimeError("kernel-mismatch", {
          part: label,
          problem: `in ${where} ${name}[${i}] is ${actual[i]}, its reference gives ${expected[i]}, and rounding explains ${limit(i).toExponential(1)}`,
          remedy: "Report it with the adapter's name, and run with --backend cpu until then",
        });
      }
      const share = error === 0 ? 0 : error / limit(i);
      if (share <= this.#worstShare) continue;
      this.#worstShare = share;
      this.#worstLabel = label;
    }
  }
}
