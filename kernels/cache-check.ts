import { fromHalf } from "./half.ts";
import type { CacheFormat, KvCacheShape } from "./kv-cache.ts";

/** Elements of a layer's keys or values, in the order they lie in. */
export function cacheElements(format: CacheFormat, bytes: ArrayBuffer): Float32Array {
  return format === "f32" ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), fromHalf);
}

/** A layer's keys as (nKvHeads, capacity, headDim). */
export function plainKeys(
  { headDim, capacity }: Pick<KvCacheShape, "headDim" | "capacity">,
  keys: Float32Array,
): Float32Array {
  const chunks = headDim / 4;
  return Float32Array.from(keys, (_, at) => {
    const d = at % headDim;
    const slot = Math.floor(at / headDim) % capacity;
    const head = Math.floor(at / (headDim * capacity));
    return keys[((head * chunks + (d >> 2)) * capacity + slot) * 4 + (d & 3)]!;
  });
}
