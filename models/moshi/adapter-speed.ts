import { createMatmuls } from "../../kernels/matmul/matmul.ts";
import { MATRIX_BITS, type Matrix, type MatrixFormat } from "../../kernels/matrix.ts";
import { createRmsNorm } from "../../kernels/rms-norm/rms-norm.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { type Dispatch, record } from "../../src/gpu/plan.ts";
import type { AdapterSpeed } from "./fit.ts";

/** Columns and rows of the matrices that are multiplied: those of a large model's layer. */
const COLS = 4096;
const ROWS = 4096;
/** A warm-up and then as many rounds, of which the fastest counts: what disturbs only ever slows down. */
const ROUNDS = 5;
/** Dispatches that wait for one another. */
const CHAIN = 400;

/** How much is moved in a round, bytes: more than a cache holds. */
function workBytes(gpu: Gpu): number {
  return gpu.adapter.isSoftware ? 2 ** 26 : 2 ** 29;
}

/**
 * Measures what an adapter copies, what a dispatch costs, and how fast weights of each format go through a product with
 * one row: a second or two on hardware. Takes up to 1 GiB of the device's memory and gives it back.
 *
 * @throws RuntimeError "gpu-out-of-memory" if there is not so much.
 */
export async function measureAdapter(gpu: Gpu, formats: readonly MatrixFormat[]): Promise<AdapterSpeed> {
  const dispatchSeconds = await measureDispatch(gpu);
  const matmulBytesPerSecond = { f32: 0, f16: 0, q8: 0, q4: 0 };
  for (const format of formats)
    matmulBytesPerSecond[format] = await measureMatmul(gpu, format, dispatchSeconds);
  return { copyBytesPerSecond: await measureCopy(gpu), dispatchSeconds, matmulBytesPerSecond };
}

async function measureCopy(gpu: Gpu): Promise<number> {
  const sizeBytes = workBytes(gpu) / 4;
  const [from, to] = ["copy from", "copy to"].map((label) => createBuffer(gpu, { label, sizeBytes }));
  const copies = 2;
  const seconds = await fastest(gpu, (encoder) => {
    for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(from!.buffer, 0, to!.buffer, 0, sizeBytes);
  });
  for (const { buffer } of [from!, to!]) buffer.destroy();
  return (2 * copies * sizeBytes) / seconds;
}

/** A row that is normalised again and again, each time from what the time before wrote. */
async function measureDispatch(gpu: Gpu): Promise<number> {
  const cols = 32;
  const ones = new Float32Array(cols).fill(1);
  const [x, out, weight] = ["a", "b", "weight"].map((name) =>
    uploadBuffer(gpu, { label: `dispatch ${name}` }, ones),
  );
  const step = oneRow(gpu);
  const norm = (from: BufferView, to: BufferView) =>
    createRmsNorm(gpu, { label: "dispatch", cols, eps: 1e-6, x: from, weight: weight!, out: to, step });
  const pair = [await norm(x!, out!), await norm(out!, x!)];
  await gpu.settle();
  const chain = (length: number) =>
    fastest(gpu, (encoder) =>
      run(
        encoder,
        Array.from({ length }, (_, i) => pair[i % 2]!),
      ),
    );
  const seconds = (await chain(2 * CHAIN)) - (await chain(CHAIN));
  for (const { buffer } of [x!, out!, weight!, step]) buffer.destroy();
  return Math.max(1e-7, seconds / CHAIN);
}

async function measureMatmul(gpu: Gpu, format: MatrixFormat, dispatchSeconds: number): Promise<number> {
  const step = oneRow(gpu);
  const x = uploadBuffer(gpu, { label: "matmul x" }, new Float32Array(COLS).fill(1));
  const out = createBuffer(gpu, { label: "matmul out", sizeBytes: ROWS * 4 });
  const matrixBytes = (COLS * ROWS * MATRIX_BITS[format]) / 8;
  const matrices = Array.from({ length: Math.max(2, Math.round(workBytes(gpu) / matrixBytes)) }, () =>
    zeroMatrix(gpu, format),
  );
  const dispatches: Dispatch[] = [];
  for (const matrix of matrices) {
    dispatches.push(
      ...(await createMatmuls(gpu, { label: "matmul", x, matrix, out, accumulate: false, step })),
    );
  }
  await gpu.settle();
  const seconds = await fastest(gpu, (encoder) => run(encoder, dispatches));
  const parts = matrices.flatMap((matrix) =>
    matrix.parts.flatMap(({ weights, scales }) => [weights, scales]),
  );
  for (const { buffer } of [step, x, out, ...parts]) buffer.destroy();
  const reading = seconds - dispatches.length * dispatchSeconds;
  return (matrices.length * matrixBytes) / Math.max(reading, seconds / 10);
}

/** What it holds makes no difference to its pace. */
function zeroMatrix(gpu: Gpu, format: MatrixFormat): Matrix {
  const bits = MATRIX_BITS[format];
  const elementBits = 2 ** Math.floor(Math.log2(bits));
  const weights = createBuffer(gpu, { label: "matmul matrix", sizeBytes: (COLS * ROWS * elementBits) / 8 });
  const scaleBytes = (COLS * ROWS * (bits - elementBits)) / 8;
  const scales = createBuffer(gpu, { label: "matmul scales", sizeBytes: scaleBytes });
  return { rows: ROWS, cols: COLS, format, parts: [{ firstRow: 0, rows: ROWS, weights, scales }] };
}

function oneRow(gpu: Gpu): BufferView {
  return uploadBuffer(gpu, { label: "step", role: "step" }, Uint32Array.of(1, 0, 0, 0));
}

function run(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
  const pass = encoder.beginComputePass();
  record(pass, dispatches, 1);
  pass.end();
}

/** Seconds from the submission of what `write` records until it has run: the least of several. */
async function fastest(gpu: Gpu, write: (encoder: GPUCommandEncoder) => void): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    const encoder = gpu.device.createCommandEncoder({ label: "measurement" });
    write(encoder);
    const commands = encoder.finish();
    const begunMs = performance.now();
    gpu.device.queue.submit([commands]);
    await gpu.device.queue.onSubmittedWorkDone();
    gpu.throwIfFailed();
    if (round > 0) least = Math.min(least, (performance.now() - begunMs) / 1000);
  }
  return least;
}
