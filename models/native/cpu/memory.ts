import { Tensor } from "onnxruntime-node";
import type { NativeConfig } from "../config.ts";
import { type CacheLayout, cacheLayout, EMPTY_SLOT, isVisible, type PlannedToken } from "../sequence.ts";

/** Added to the score of a token that is not seen: its weight rounds to zero. */
export const UNSEEN = -1e30;

/**
 * The KV cache and what may be seen of it. Everything is allocated once; tensors are views of the same memory, which
 * onnxruntime reads in place.
 */
export class Memory {
  readonly layout: CacheLayout;
  /** Named inputs of the decoder: `past_k.i`, `past_v.i`, `past_mask`. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly #config: NativeConfig;
  readonly #keys: Float32Array[] = [];
  readonly #values: Float32Array[] = [];
  readonly #mask: Float32Array;
  readonly #positions: Float64Array;

  constructor(config: NativeConfig) {
    const { nLayers, nKvHeads, headDim } = config;
    this.#config = config;
    this.layout = cacheLayout(config);
    const { capacity } = this.layout;
    this.#mask = new Float32Array(capacity).fill(UNSEEN);
    this.#positions = new Float64Array(capacity).fill(EMPTY_SLOT);
    const feeds: Record<string, Tensor> = { past_mask: new Tensor("float32", this.#mask, [1, capacity]) };
    for (let i = 0; i < nLayers; i++) {
      const keys = new Float32Array(nKvHeads * headDim * capacity);
      const values = new Float32Array(nKvHeads * headDim * capacity);
      this.#keys.push(keys);
      this.#values.push(values);
      feeds[`past_k.${i}`] = new Tensor("float32", keys, [nKvHeads, 1, headDim, capacity]);
      feeds[`past_v.${i}`] = new Tensor("float32", values, [nKvHeads, 1, capacity, headDim]);
    }
    this.feeds = feeds;
  }

  /**
   * Sets the mask for a run of `tokens`: what they see of the tokens before them. They see each other by their order,
   * and what they are about to replace is gone, so one row serves them all.
   */
  lookBack(tokens: readonly PlannedToken[]): void {
    const queryPosition = tokens[0]!.position;
    for (let slot = 0; slot < this.#mask.length; slot++) {
      const seen = isVisible(this.layout, slot, this.#positions[slot]!, queryPosition);
      this.#mask[slot] = seen ? 0 : UNSEEN;
    }
    for (const token of tokens) this.#mask[token.cacheSlot] = UNSEEN;
  }

  /**
   * Remembers the keys and values of a run.
   *
   * @param kv (tokens, nLayers · 2 · nKvHeads · headDim) as the decoder gives it. Copied.
   */
  write(tokens: readonly PlannedToken[], kv: Float32Array): void {
    const { nLayers, nKvHeads, headDim } = this.#config;
    const { capacity } = this.layout;
    let at = 0;
    for (const { cacheSlot, position } of tokens) {
      for (let layer = 0; layer < nLayers; layer++) {
        const keys = this.#keys[layer]!;
        const values = this.#values[layer]!;
        for (let i = 0; i < nKvHeads * headDim; i++) keys[i * capacity + cacheSlot] = kv[at++]!;
        for (let head = 0; head < nKvHeads; head++) {
          const row = (head * capacity + cacheSlot) * headDim;
          for (let i = 0; i < headDim; i++) values[row + i] = kv[at++]!;
        }
      }
      this.#positions[cacheSlot] = position;
    }
  }

  /** Forgets everything. What stands in the cache stays there, unseen. */
  clear(): void {
    this.#positions.fill(EMPTY_SLOT);
  }
}
