import { invalidCheckpoint } from "../tensors/checkpoint-faults.ts";
import { byRows, type LazyTensor } from "../tensors/lazy-tensors.ts";

const A_SUFFIX = ".lora_A.weight";
const B_SUFFIX = ".lora_B.weight";

/**
 * What low-rank adapters add: for each pair NAME.lora_A.weight (r, in) and NAME.lora_B.weight (out, r) a NAME.weight of
 * scaling · B · A (arXiv 2106.09685). Adapters of m fused blocks, A (m·r, in) and B (out, r), are taken block by block.
 *
 * @throws RuntimeError "invalid-checkpoint" naming a tensor of no pair, or one whose shapes do not fit.
 */
export function lowRankUpdates(
  source: string,
  adapters: ReadonlyMap<string, LazyTensor>,
  scaling: number,
): Map<string, LazyTensor> {
  const updates = new Map<string, LazyTensor>();
  for (const [name, tensor] of adapters) {
    const suffix = [A_SUFFIX, B_SUFFIX].find((end) => name.endsWith(end));
    const stem = suffix === undefined ? name : name.slice(0, -suffix.length);
    const a = adapters.get(stem + A_SUFFIX);
    const b = adapters.get(stem + B_SUFFIX);
    if (!a || !b) throw invalidCheckpoint(source, `${name} is no half of an adapter`);
    if (tensor === a) updates.set(`${stem}.weight`, product(source, `${stem}.weight`, a, b, scaling));
  }
  return updates;
}

function product(source: string, name: string, a: LazyTensor, b: LazyTensor, scaling: number): LazyTensor {
  const [aRows = 0, cols = 0] = a.shape;
  const [rows = 0, rank = 0] = b.shape;
  const blocks = aRows / rank;
  if (a.shape.length !== 2 || b.shape.length !== 2 || !Number.isInteger(blocks) || rows % blocks !== 0) {
    throw invalidCheckpoint(source, `${name}: its adapter's [${b.shape}] does not follow its [${a.shape}]`);
  }
  const blockRows = rows / blocks;
  return byRows({ name, dtype: "F32", shape: [rows, cols] }, async (first, count) => {
    const out = new Float32Array(count * cols);
    const up = await b.read({ start: first * rank, count: count * rank });
    const down = await a.read({ start: 0, count: aRows * cols });
    for (let row = 0; row < count; row++) {
      const block = Math.floor((first + row) / blockRows);
      const sums = new Float64Array(cols);
      for (let r = 0; r < rank; r++) {
        const factor = scaling * up[row * rank + r]!;
        const from = (block * rank + r) * cols;
        for (let c = 0; c < cols; c++) sums[c]! += factor * down[from + c]!;
      }
      out.set(sums, row * cols);
    }
    return out;
  });
}

/**
 * Tensors with what is added to some of them.
 *
 * @throws RuntimeError "invalid-checkpoint" naming an update for a tensor that is not there or has another shape.
 */
export function withUpdates(
  source: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  updates: ReadonlyMap<string, LazyTensor>,
): Map<string, LazyTensor> {
  const sums = new Map(tensors);
  for (const [name, update] of updates) {
    const base = tensors.get(name);
    if (base?.shape.join() !== update.shape.join()) {
      const held = base ? `[${base.shape}]` : "nothing";
      throw invalidCheckpoint(source, `has an adapter of [${update.shape}] for ${name}, which is ${held}`);
    }
    sums.set(name, {
      name,
      shape: base.shape,
      dtype: "F32",
      ...(base.granule === undefined ? {} : { granule: base.granule }),
      read: async (range) => {
        const [values, added] = [await base.read(range), await update.read(range)];
        return values.map((value, i) => value + added[i]!);
      },
    });
  }
  return sums;
}
