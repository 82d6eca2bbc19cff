import { createLayerCache, createSlotPositions, type LayerCache } from "../../../kernels/kv-cache.ts";
import { ROW_BYTES, STEP_BYTES } from "../../../kernels/step.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { audioTokenCount, type NativeConfig, tileCount } from "../config.ts";
import { type CacheLayout, cacheLayout } from "../sequence.ts";
import { InputBuffer } from "./input-buffer.ts";

/** Everything that a session changes, at its fixed size. */
export class NetworkState {
  readonly layout: CacheLayout;
  readonly maxRows: number;
  readonly input: InputBuffer;
  readonly decodeRow: BufferView;
  readonly decodeStep: BufferView;
  /** Count of the output block's tokens, then the tokens. */
  readonly block: BufferView;
  readonly levels: BufferView;
  readonly tiles: BufferView;
  readonly x: BufferView;
  readonly normed: BufferView;
  /** (vocabSize), of the last choice. */
  readonly logits: BufferView;
  readonly qkv: BufferView;
  readonly q: BufferView;
  readonly attended: BufferView;
  readonly gated: BufferView;
  readonly caches: readonly LayerCache[];
  readonly slotPositions: BufferView;

  constructor(gpu: Gpu, config: NativeConfig) {
    const { dim, nHeads, nKvHeads, headDim, ffDim, limits } = config;
    const nAudio = audioTokenCount(config);
    const nTiles = tileCount(config);
    const buffer = (label: string, words: number) => createBuffer(gpu, { label, sizeBytes: words * 4 });
    this.layout = cacheLayout(config);
    this.maxRows = nAudio + nTiles + limits.textTokensPerMicroTurn + 1;
    this.input = new InputBuffer(gpu, config, this.maxRows);
    this.decodeRow = createBuffer(gpu, { label: "decode row", sizeBytes: ROW_BYTES });
    this.decodeStep = createBuffer(gpu, { label: "decode step", sizeBytes: STEP_BYTES, role: "step" });
    this.block = buffer("output block", 1 + limits.outputTokensPerMicroTurn);
    this.levels = buffer("levels", nAudio * config.audio.nMels);
    this.tiles = buffer("tiles", nTiles * dim);
    this.x = buffer("x", this.maxRows * dim);
    this.normed = buffer("normed", this.maxRows * dim);
    this.logits = buffer("logits", config.vocabSize);
    this.qkv = buffer("qkv", this.maxRows * (nHeads + 2 * nKvHeads) * headDim);
    this.q = buffer("q", this.maxRows * nHeads * headDim);
    this.attended = buffer("attended", this.maxRows * nHeads * headDim);
    this.gated = buffer("gated", this.maxRows * ffDim);
    const shape = { nKvHeads, headDim, capacity: this.layout.capacity };
    this.caches = Array.from({ length: config.nLayers }, (_, i) =>
      createLayerCache(gpu, `layers.${i}`, shape),
    );
    this.slotPositions = createSlotPositions(gpu, shape.capacity);
  }
}
