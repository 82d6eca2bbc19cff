import type { Checkpoint } from "../checkpoint.ts";
import { toF32 } from "../quantize.ts";
import { clockRows, type PlannedToken } from "../sequence.ts";

const ROLE_TOLD = 0;
const ROLE_SAID = 1;

/** What the tokens of one input block are made of, beside their ids. */
export interface BlockFeatures {
  turn: number;
  /** (4, 80) levels of the interval's dMel frames; null when deaf. */
  levels: Uint8Array | null;
  /** (tiles, dim) hMLP outputs; null without a picture. */
  tiles: Float32Array | null;
}

/** Makes the network's input rows. README "Embeddings". Sums are in double precision. */
export class Embedding {
  readonly #dim: number;
  readonly #normEps: number;
  readonly #nLevels: number;
  readonly #nMels: number;
  readonly #tables: Record<"text" | "role" | "clock" | "tile" | "audio" | "audioNorm", Float32Array>;
  readonly #sum: Float64Array;

  constructor({ config, tensors }: Checkpoint) {
    const table = (name: string) => toF32(tensors.get(name)!).data;
    this.#dim = config.dim;
    this.#normEps = config.normEps;
    this.#nLevels = config.audio.nLevels;
    this.#nMels = config.audio.nMels;
    this.#sum = new Float64Array(config.dim);
    this.#tables = {
      text: table("embed.text"),
      role: table("embed.role"),
      clock: table("embed.clock"),
      tile: table("embed.tile"),
      audio: table("audio.table"),
      audioNorm: table("audio.norm"),
    };
  }

  /**
   * @param token    Of kind audio and video only where `features` has them.
   * @param features Null for a token that the model said.
   * @param out      (dim) f32, written.
   */
  write(token: PlannedToken, features: BlockFeatures | null, out: Float32Array): void {
    const { text, role, clock, tile } = this.#tables;
    this.#sum.fill(0);
    switch (token.kind) {
      case "told":
        this.#add(text, token.value);
        this.#add(role, ROLE_TOLD);
        break;
      case "said":
        this.#add(text, token.value);
        this.#add(role, ROLE_SAID);
        break;
      case "clock":
        for (const row of clockRows(features!.turn)) this.#add(clock, row);
        break;
      case "audio":
        this.#addAudio(features!.levels!, token.value);
        break;
      case "video":
        this.#add(features!.tiles!, token.value);
        this.#add(tile, token.value);
        break;
      default:
        token.kind satisfies never;
    }
    out.set(this.#sum);
  }

  #addAudio(levels: Uint8Array, frame: number): void {
    for (let c = 0; c < this.#nMels; c++) {
      this.#add(this.#tables.audio, c * this.#nLevels + levels[frame * this.#nMels + c]!);
    }
    let squares = 0;
    for (const value of this.#sum) squares += value * value;
    const scale = 1 / Math.sqrt(squares / this.#dim + this.#normEps);
    for (let i = 0; i < this.#dim; i++) this.#sum[i]! *= scale * this.#tables.audioNorm[i]!;
  }

  #add(table: Float32Array, row: number): void {
    const start = row * this.#dim;
    for (let i = 0; i < this.#dim; i++) this.#sum[i]! += table[start + i]!;
  }
}
