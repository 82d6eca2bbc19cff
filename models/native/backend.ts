import type { Checkpoint } from "./checkpoint.ts";

/** What the model perceives of one micro-turn, ready for the network. Borrowed by the backend until `step` settles. */
export interface InputBlock {
  /** k. Turns come in order and may skip none, but need not begin at 0 after a reset. */
  turn: number;
  /** (800 + 3200) f32 mono at 16 kHz in [-1, 1]: the last 50 ms before the interval, then the interval. Null when deaf. */
  pcm: Float32Array | null;
  /** (2, height, width, 3) signed features in [-127, 127], README "Video features"; null without a picture. */
  video: Int8Array | null;
  /** Tokens of role told, at most `limits.textTokensPerMicroTurn`. */
  told: readonly number[];
}

/** How an output token is chosen. Temperature 0 is greedy and ignores the rest. */
export interface Sampling {
  temperature: number;
  /** Tokens to choose among, the most probable first; 0 for all. */
  topK: number;
  /** u32. The same seed, checkpoint and input give the same tokens. */
  seed: number;
}

export const GREEDY: Sampling = { temperature: 0, topK: 0, seed: 0 };

/** Where the network runs: dMel, embeddings, transformer, memory and choice of tokens. `step` and `reset` are the whole of it. */
export interface NativeBackend {
  readonly kind: "gpu" | "cpu";
  /** The adapter's or the processor's name. */
  readonly adapter: string;
  /**
   * Takes in the blocks, oldest first, and speaks for the last one; the earlier ones (late micro-turns) have an empty
   * output. One call at a time.
   *
   * @returns The tokens of the last block's output, the closing `<next>` included; without it when the cap closed it.
   * @throws RuntimeError "shape-mismatch" for a block of other lengths; "gpu-device-lost" only when a device was lost
   *   and the backend could neither bring it back nor replay its last window.
   */
  step(blocks: readonly InputBlock[]): Promise<readonly number[]>;
  /** Empties the memory. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** How a backend holds the large matrices. "as-stored" keeps the checkpoint's own format where the backend has it. */
export type WeightFormat = "as-stored" | "f32" | "f16" | "q8";

export interface BackendOptions {
  checkpoint: Checkpoint;
  sampling: Sampling;
  weights: WeightFormat;
}

/** Implemented by `createCpuBackend` (cpu/cpu-backend.ts) and `createGpuBackend` (gpu/gpu-backend.ts). */
export type CreateBackend = (options: BackendOptions) => Promise<NativeBackend>;
