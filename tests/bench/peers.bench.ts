import { InferenceSession, Tensor } from "onnxruntime-node";
import { createAttention } from "../../kernels/attention/attention.ts";
import { createMatmul } from "../../kernels/matmul/matmul.ts";
import { type MatrixFormat, quantize, toHalf, uploadMatrix } from "../../kernels/matrix.ts";
import { packRows, ROW_KIND } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { type BufferView, createBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Dispatch } from "../../src/gpu/plan.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measure, measureDispatches } from "./measure.ts";

// Our kernels beside onnxruntime's, on the same adapter, shapes and numbers, in one run. Each operation feeds the next
// CHAIN times, so that neither side is timed for entering and leaving the device.

const CHAIN = 8;
const PROVIDERS = ["cpu", "webgpu"] as const;

interface Contest {
  name: string;
  rows: number;
  /** CHAIN operations, each reading what the one before wrote; the last writes `result`. */
  ours: Dispatch[];
  result: BufferView;
  /** The same with input "x" and output "y", both of the shape `dims`. */
  model: Uint8Array;
  dims: number[];
  x: Float32Array;
  /** Brings our result into the order of theirs. Default: the same order. */
  order?: (result: Float32Array) => Float32Array;
  limits: { absolute: number };
}

/** Runs both sides, compares their results and prints the ratio of times: above 1 ours is faster. */
async function compete(gpu: Gpu, contest: Contest): Promise<void> {
  const { name, rows, ours, result, x, dims } = contest;
  await run(gpu, ours, rows);
  const raw = new Float32Array(await readBack(gpu, result)).slice(0, x.length);
  const own = contest.order ? contest.order(raw) : raw;
  const { medianMs } = await measureDispatches(gpu, ours, rows, 2);
  let line = `${name}: ours ${(medianMs / CHAIN).toFixed(3)} ms`;
  for (const provider of PROVIDERS) {
    line += `; onnxruntime ${provider} `;
    try {
      const session = await InferenceSession.create(contest.model, {
        executionProviders: [provider],
        intraOpNumThreads: 2,
        logSeverityLevel: 3,
      });
      const feeds = { x: new Tensor("float32", x, dims) };
      const { y } = await session.run(feeds);
      expectClose(own, y!.data as Float32Array, contest.limits);
      const theirs = await measure(CHAIN, async () => void (await session.run(feeds)));
      await session.release();
      line += `${theirs.medianMs.toFixed(3)} ms, ratio ${((theirs.medianMs * CHAIN) / medianMs).toFixed(2)}`;
    } catch (error) {
      line += `none (${String(error).split("\n")[0]})`;
    }
  }
  process.stdout.write(`${line}; ${gpu.adapter.name}\n`);
}

/** x := x Wᵀ, CHAIN times, in onnxruntime's form for the format. */
function matmulModel(weights: Float32Array, size: number, rows: number, format: MatrixFormat): Uint8Array {
  const graph = new OnnxGraph();
  let value = graph.input("x", "float32", [rows, size]);
  if (format === "q8") {
    const { values, scales } = quantize(weights);
    // MatMulNBits keeps unsigned bytes about a zero point of 128.
    const packed = Uint8Array.from(values, (v) => v + 128);
    const blocks = size / 32;
    const b = graph.constant("w", "uint8", [size, blocks, 32], packed);
    const s = graph.constant("s", "float32", [size * blocks], scales);
    const attributes = {
      K: { int: size },
      N: { int: size },
      bits: { int: 8 },
      block_size: { int: 32 },
      accuracy_level: { int: 4 },
    };
    for (let i = 0; i < CHAIN; i++) {
      value = graph.node("MatMulNBits", [value, b, s], {
        domain: "com.microsoft",
        attributes,
        ...(i === CHAIN - 1 ? { name: "y" } : {}),
      });
    }
    graph.output(value, "float32", [rows, size]);
    return graph.encode();
  }
  const transposed = Float32Array.from(weights, (_, i) => weights[(i % size) * size + Math.floor(i / size)]!);
  const half = format === "f16";
  const w = half
    ? graph.constant("w", "float16", [size, size], Uint16Array.from(transposed, toHalf))
    : graph.constant("w", "float32", [size, size], transposed);
  if (half) value = graph.node("Cast", [value], { attributes: { to: { int: 10 } } });
  for (let i = 0; i < CHAIN; i++) {
    const name = i === CHAIN - 1 && !half ? { name: "y" } : {};
    value = graph.node("MatMul", [value, w], name);
  }
  if (half) value = graph.node("Cast", [value], { attributes: { to: { int: 1 } }, name: "y" });
  graph.output(value, "float32", [rows, size]);
  return graph.encode();
}

for (const format of ["f32", "f16", "q8"] as const) {
  for (const size of [256, 512, 1024]) {
    for (const rows of [1, 9]) {
      const name = `matmul ${format} ${rows} x ${size} x ${size}`;
      benchOnGpu(name, async (gpu) => {
        const weights = gaussian(1, size * size, 1 / Math.sqrt(size));
        const x = gaussian(2, rows * size);
        const spec = { label: "w", rows: size, cols: size, format };
        const matrix = uploadMatrix(gpu, spec, { kind: "f32", data: weights });
        const buffers = Array.from({ length: CHAIN + 1 }, (_, i) =>
          i === 0 ? input(gpu, "x", x) : createBuffer(gpu, { label: `x ${i}`, sizeBytes: rows * size * 4 }),
        );
        const stepView = step(gpu, rows);
        const ours: Dispatch[] = [];
        for (let i = 0; i < CHAIN; i++) {
          const [from, to] = [buffers[i]!, buffers[i + 1]!];
          const label = `matmul ${i}`;
          ours.push(
            await createMatmul(gpu, { label, x: from, matrix, out: to, accumulate: false, step: stepView }),
          );
        }
        await compete(gpu, {
          name,
          rows,
          ours,
          result: buffers[CHAIN]!,
          model: matmulModel(weights, size, rows, format),
          dims: [rows, size],
          x,
          // Their f16 sums in half precision and their q8 rounds the activations to 8 bits, eight times over.
          limits: { absolute: format === "f32" ? 1e-3 : 0.5 },
        });
      });
    }
  }
}

const SHAPE = {
  nHeads: 5,
  nKvHeads: 1,
  headDim: 64,
  capacity: 992,
  perceptionSlots: 480,
  perceptionTurns: 80,
};

/** q := softmax(q kᵀ / sqrt(headDim)) v, CHAIN times. q is (nKvHeads, queries, headDim): heads of rows of a kv head. */
function attentionModel(keys: Float32Array, values: Float32Array, queries: number): Uint8Array {
  const { nKvHeads, headDim, capacity } = SHAPE;
  const graph = new OnnxGraph();
  const dims = [nKvHeads, queries, headDim];
  let value = graph.input("x", "float32", dims);
  // (nKvHeads, headDim, capacity) and (nKvHeads, capacity, headDim): laid out at load, as a cache would be.
  const k = graph.constant("k", "float32", [nKvHeads, headDim, capacity], keys);
  const v = graph.constant("v", "float32", [nKvHeads, capacity, headDim], values);
  const scale = graph.scalar(1 / Math.sqrt(headDim));
  for (let i = 0; i < CHAIN; i++) {
    const scores = graph.node("Mul", [graph.node("MatMul", [value, k]), scale]);
    const weights = graph.node("Softmax", [scores], { attributes: { axis: { int: -1 } } });
    value = graph.node("MatMul", [weights, v], i === CHAIN - 1 ? { name: "y" } : {});
  }
  graph.output(value, "float32", dims);
  return graph.encode();
}

/** (nKvHeads, headDim, capacity) to the cache's (nKvHeads, headDim / 4, capacity, 4). */
function packKeys(keys: Float32Array): Float32Array {
  const { headDim, capacity } = SHAPE;
  return Float32Array.from(keys, (_, i) => {
    const slot = Math.floor(i / 4) % capacity;
    const dim = (Math.floor(i / (4 * capacity)) % (headDim / 4)) * 4 + (i % 4);
    const head = Math.floor(i / (headDim * capacity));
    return keys[(head * headDim + dim) * capacity + slot]!;
  });
}

for (const rows of [1, 9]) {
  const name = `attention ${rows} rows over ${SHAPE.capacity} slots`;
  benchOnGpu(name, async (gpu) => {
    const { nHeads, nKvHeads, headDim, capacity } = SHAPE;
    const groupHeads = nHeads / nKvHeads;
    const cacheLength = nKvHeads * capacity * headDim;
    const keys = gaussian(1, cacheLength);
    const values = gaussian(2, cacheLength);
    const q = gaussian(3, rows * nHeads * headDim, 2);
    const cache = {
      format: "f32" as const,
      keys: input(gpu, "keys", packKeys(keys)),
      values: input(gpu, "values", values),
    };
    const slotPositions = input(gpu, "slots", new Uint32Array(capacity).fill(6400));
    const rowsView = input(
      gpu,
      "rows",
      packRows(
        Array.from({ length: rows }, () => ({ position: 6500, cacheSlot: 0, kind: ROW_KIND.told, index: 0 })),
      ),
    );
    const buffers = Array.from({ length: CHAIN + 1 }, (_, i) =>
      i === 0 ? input(gpu, "q", q) : createBuffer(gpu, { label: `q ${i}`, sizeBytes: q.byteLength }),
    );
    const stepView = step(gpu, rows);
    const ours: Dispatch[] = [];
    for (let i = 0; i < CHAIN; i++) {
      const [from, to] = [buffers[i]!, buffers[i + 1]!];
      const spec = { ...SHAPE, label: `attention ${i}`, maxRows: rows, rows: rowsView, step: stepView };
      ours.push(...(await createAttention(gpu, { ...spec, q: from, cache, slotPositions, out: to })));
    }
    // Their queries come kv head by kv head, ours row by row.
    const order = Array.from({ length: rows * nHeads }, (_, place) => {
      const kvHead = Math.floor(place / (rows * groupHeads));
      const row = Math.floor(place / groupHeads) % rows;
      return row * nHeads + kvHead * groupHeads + (place % groupHeads);
    });
    const reorder = (from: Float32Array) =>
      Float32Array.from(from, (_, i) => from[order[Math.floor(i / headDim)]! * headDim + (i % headDim)]!);
    await compete(gpu, {
      name,
      rows,
      ours,
      result: buffers[CHAIN]!,
      model: attentionModel(keys, values, rows * groupHeads),
      dims: [nKvHeads, rows * groupHeads, headDim],
      x: reorder(q),
      order: reorder,
      limits: { absolute: 1e-4 },
    });
  });
}
