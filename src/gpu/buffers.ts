import { RuntimeError } from "../core/errors.ts";
import type { Gpu } from "./device.ts";

/** A stretch of a buffer, as it is bound. Offsets are multiples of 256 bytes. */
export interface BufferView {
  buffer: GPUBuffer;
  offset: number;
  sizeBytes: number;
}

/**
 * What a buffer may be bound as. "step" is a uniform that a kernel also writes (as storage), "uniform" one that only
 * the host writes.
 */
export type BufferRole = "storage" | "uniform" | "step";

export interface BufferSpec {
  /** Names the buffer in messages: "layers.0.qkv". */
  label: string;
  sizeBytes: number;
  role?: BufferRole;
}

/** Makes one zeroed buffer that can be bound, written by the host and copied from. */
export function createBuffer(gpu: Gpu, spec: BufferSpec): BufferView {
  const role = spec.role ?? "storage";
  const sizeBytes = Math.max(16, Math.ceil(spec.sizeBytes / 16) * 16);
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  if (sizeBytes > limit) {
    throw new RuntimeError("gpu-out-of-memory", {
      part: spec.label,
      problem: `takes ${sizeBytes} bytes, the device binds at most ${limit}`,
      remedy: "Use a smaller model, another weight format, or the CPU backend",
    });
  }
  const usage =
    GPUBufferUsage.COPY_SRC |
    GPUBufferUsage.COPY_DST |
    (role !== "uniform" ? GPUBufferUsage.STORAGE : 0) |
    (role !== "storage" ? GPUBufferUsage.UNIFORM : 0);
  const buffer = gpu.check(spec.label, () =>
    gpu.device.createBuffer({ label: spec.label, size: sizeBytes, usage }),
  );
  gpu.created.buffers++;
  return { buffer, offset: 0, sizeBytes };
}

/** Makes a buffer that holds `data`. Sizes are rounded up to 16 bytes; what is beyond `data` is zero. */
export function uploadBuffer(
  gpu: Gpu,
  spec: { label: string; role?: BufferRole },
  data: Float32Array | Uint32Array | Int32Array | Uint16Array | Uint8Array,
): BufferView {
  const view = createBuffer(gpu, { ...spec, sizeBytes: data.byteLength });
  writeBuffer(gpu, view, data);
  return view;
}

/** Writes `data` at the start of the view. A length that is no multiple of 4 bytes is padded with zeros. */
export function writeBuffer(
  gpu: Gpu,
  view: BufferView,
  data: Float32Array | Uint32Array | Int32Array | Uint16Array | Uint8Array,
): void {
  if (data.byteLength > view.sizeBytes) {
    throw new RuntimeError("shape-mismatch", {
      part: view.buffer.label,
      problem: `${data.byteLength} bytes were written, it holds ${view.sizeBytes}`,
    });
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.byteLength % 4 === 0) {
    gpu.device.queue.writeBuffer(view.buffer, view.offset, bytes);
    return;
  }
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  gpu.device.queue.writeBuffer(view.buffer, view.offset, padded);
}

/** A part of a view. @throws RuntimeError "invalid-argument" if it lies outside or is not aligned for binding. */
export function subview(view: BufferView, offset: number, sizeBytes: number): BufferView {
  const start = view.offset + offset;
  if (offset < 0 || offset + sizeBytes > view.sizeBytes || start % 256 !== 0) {
    throw new RuntimeError("invalid-argument", {
      part: view.buffer.label,
      problem: `a view of ${sizeBytes} bytes at ${offset} is outside or not on a 256-byte boundary`,
    });
  }
  return { buffer: view.buffer, offset: start, sizeBytes };
}
