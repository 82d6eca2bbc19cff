/**
 * What every kernel of a decoder is told about the rows it runs over.
 *
 * **Step** is a 16-byte uniform, the last binding of each kernel:
 *
 * ```wgsl
 * struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 } // rows 0: the output block is closed, nothing runs
 * @group(0) @binding(N) var<uniform> step: Step;
 * ...
 * if (step.rows == 0u) { return; } // first: a decode step after <next> costs no more than its launch
 * ```
 *
 * The host writes the prefill's step (rows = tokens of the input block) every micro-turn. The decode steps share a
 * second one that the sampler writes, 1 while the block goes on and 0 once it is closed: it is a uniform so that an early
 * return on it is uniform control flow and subgroup operations may follow. Dispatch sizes already follow the number
 * of rows, rounded up to a kernel's tile; `rows` is exact.
 *
 * **Rows** is an array of `Row` (`var<storage, read> rows: array<vec4u>`), one per token of the step: position, cache
 * slot, kind, index. The host writes the prefill's; the sampler writes the decode step's only row.
 *
 * **Turn** is a uniform that the host writes once per micro-turn for the sampler, and **Block** the storage buffer that
 * the sampler writes and the host reads back: its count of tokens, then the tokens, the closing one included. The host
 * clears the count before the prefill.
 *
 * ```wgsl
 * struct Turn {
 *   said_position: u32, // of the block's first output token: 64 * micro-turn + 41
 *   said_count: u32,    // output tokens fed back since the last reset, before this block
 *   said_start: u32,    // first cache slot of the said ring
 *   said_capacity: u32, // slots of the said ring
 *   max_tokens: u32,    // an output block that reaches it is closed
 *   next_token: u32,    // closes the block; neither fed back nor given a position
 *   top_k: u32,         // 0: all
 *   seed: u32,
 *   temperature: f32,   // 0: greedy
 *   pad0: u32, pad1: u32, pad2: u32,
 * }
 * ```
 *
 * The sampler takes the logits of one row and draws token j = block.count. It appends the token; unless the block is
 * closed by it (`next_token`, or j + 1 = max_tokens) it writes the decode step's Row (said_position + j,
 * said_start + (said_count + j) % said_capacity, said, token) and rows = 1 to the decode Step, else rows = 0. It binds
 * the decode Step as storage (readWrite), so it is told by a constant of its own whether it opens the block (after the
 * prefill) or must first look whether the block is still open. The random number depends on seed, said_position and j
 * alone.
 */

/** Bytes of a Step. */
export const STEP_BYTES = 16;

/** Bytes of a Row. */
export const ROW_BYTES = 16;

/** What a row's embedding is made of, and what `index` means. */
export const ROW_KIND = {
  /** Typed text; index is the token. */
  told: 0,
  /** The model's own output; index is the token. */
  said: 1,
  /** Elapsed time; index is micro-turn k: the time shown is (k+1) ticks of 200 ms. */
  clock: 2,
  /** One dMel frame; index is its place, 0-3. */
  audio: 3,
  /** One tile; index is its place, row by row. */
  video: 4,
} as const;

/** Bytes of a Turn. */
export const TURN_BYTES = 48;

/** What the sampler is told about a micro-turn. */
export interface Turn {
  saidPosition: number;
  saidCount: number;
  saidStart: number;
  saidCapacity: number;
  maxTokens: number;
  nextToken: number;
  topK: number;
  seed: number;
  temperature: number;
}

/** Packs a turn as the sampler reads it. */
export function packTurn(turn: Turn): Uint32Array {
  const words = new Uint32Array(TURN_BYTES / 4);
  words.set([turn.saidPosition, turn.saidCount, turn.saidStart, turn.saidCapacity]);
  words.set([turn.maxTokens, turn.nextToken, turn.topK, turn.seed], 4);
  new Float32Array(words.buffer)[8] = turn.temperature;
  return words;
}

/** The turn that `packTurn` packed. */
export function unpackTurn(words: Uint32Array): Turn {
  const [saidPosition, saidCount, saidStart, saidCapacity, maxTokens, nextToken, topK, seed] = words;
  return {
    saidPosition: saidPosition!,
    saidCount: saidCount!,
    saidStart: saidStart!,
    saidCapacity: saidCapacity!,
    maxTokens: maxTokens!,
    nextToken: nextToken!,
    topK: topK!,
    seed: seed!,
    temperature: new Float32Array(words.buffer, words.byteOffset)[8]!,
  };
}

/** One token of a step. In WGSL a vec4u in this order. */
export interface Row {
  /** 64 * micro-turn + slot. */
  position: number;
  /** Where its key and value go: perception slots first, then the told ring, then the said ring. */
  cacheSlot: number;
  kind: number;
  index: number;
}

/** Packs rows as the kernels read them. */
export function packRows(rows: readonly Row[]): Uint32Array {
  return Uint32Array.from(rows.flatMap((row) => [row.position, row.cacheSlot, row.kind, row.index]));
}

/** The first `count` of packed rows. */
export function unpackRows(words: Uint32Array, count: number): Row[] {
  return Array.from({ length: count }, (_, r) => {
    const [position, cacheSlot, kind, index] = words.subarray(4 * r, 4 * r + 4);
    return { position: position!, cacheSlot: cacheSlot!, kind: kind!, index: index! };
  });
}
