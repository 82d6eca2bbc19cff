import { RuntimeError } from "../core/errors.ts";
import type { BufferView } from "./buffers.ts";
import type { Gpu } from "./device.ts";

/** One copy that was recorded and not read yet. */
export interface ReadbackTicket {
  /** Waits for the submission and gives the bytes, as a copy. Once per ticket. */
  read(): Promise<ArrayBuffer>;
}

/**
 * Brings one small buffer back to the host through a ring of mappable buffers, so that a new step can be recorded
 * while an older one is still being read.
 */
export class Readback {
  readonly #gpu: Gpu;
  readonly #source: BufferView;
  readonly #free: GPUBuffer[] = [];

  constructor(gpu: Gpu, source: BufferView, depth = 3) {
    this.#gpu = gpu;
    this.#source = source;
    for (let i = 0; i < depth; i++) {
      const label = `${source.buffer.label} readback ${i}`;
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      this.#free.push(
        gpu.check(label, () => gpu.device.createBuffer({ label, size: source.sizeBytes, usage })),
      );
      gpu.created.buffers++;
    }
  }

  /** Records the copy at the end of a command buffer. @throws RuntimeError "internal" if every ticket is unread. */
  record(encoder: GPUCommandEncoder): ReadbackTicket {
    const staging = this.#free.pop();
    if (!staging) {
      throw new RuntimeError("internal", {
        part: this.#source.buffer.label,
        problem: "the readback ring is full: an earlier step was not read",
      });
    }
    const { buffer, offset, sizeBytes } = this.#source;
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, sizeBytes);
    return { read: () => this.#read(staging) };
  }

  async #read(staging: GPUBuffer): Promise<ArrayBuffer> {
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch (cause) {
      // The map's rejection can arrive a turn before `lost`; give the typed reason a chance to be known.
      const loss = await Promise.race([
        this.#gpu.lost,
        new Promise<null>((done) => setImmediate(done, null)),
      ]);
      if (loss) throw loss;
      this.#gpu.throwIfFailed();
      const problem = "the result could not be mapped";
      throw new RuntimeError("internal", { part: this.#source.buffer.label, problem, cause });
    }
    const bytes = staging.getMappedRange().slice(0);
    staging.unmap();
    this.#free.push(staging);
    this.#gpu.throwIfFailed();
    return bytes;
  }
}
