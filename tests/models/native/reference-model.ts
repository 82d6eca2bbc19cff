import { dmelLevels } from "../../../kernels/dmel/dmel.reference.ts";
import type { InputBlock } from "../../../models/native/backend.ts";
import type { Checkpoint } from "../../../models/native/checkpoint.ts";
import type { NativeConfig } from "../../../models/native/config.ts";
import { toF32 } from "../../../models/native/quantize.ts";

/** A micro-turn as it lies in the sequence: what came in, and the output tokens that were fed back. */
export interface SpokenBlock {
  block: InputBlock;
  said: readonly number[];
}

interface Token {
  kind: "audio" | "video" | "told" | "clock" | "said";
  turn: number;
  slot: number;
  embedding: Float64Array;
}

/**
 * The native model by its README, over a whole sequence at once, in double precision, without a cache. The slow,
 * obvious version that judges the backends.
 *
 * @returns Per micro-turn the logits at its clock token and at each said token.
 */
export function referenceLogits(checkpoint: Checkpoint, sequence: readonly SpokenBlock[]): Float64Array[][] {
  const network = new Network(checkpoint);
  const tokens = sequence.flatMap((spoken) => network.tokensOf(spoken));
  const hidden = network.transform(tokens);
  const logits: Float64Array[][] = [];
  let previousTurn = -1;
  for (const [i, token] of tokens.entries()) {
    if (token.kind !== "clock" && token.kind !== "said") continue;
    if (token.turn !== previousTurn) logits.push([]);
    previousTurn = token.turn;
    logits.at(-1)!.push(network.logitsOf(hidden[i]!));
  }
  return logits;
}

class Network {
  readonly #config: NativeConfig;
  readonly #tensors: Checkpoint["tensors"];

  constructor({ config, tensors }: Checkpoint) {
    this.#config = config;
    this.#tensors = tensors;
  }

  tokensOf({ block, said }: SpokenBlock): Token[] {
    const { turn } = block;
    const tokens: Token[] = [];
    const text = (id: number, role: number) =>
      sum([this.#row("embed.text", id), this.#row("embed.role", role)]);
    if (block.pcm) {
      const levels = dmelLevels(block.pcm);
      for (let frame = 0; frame < 4; frame++) {
        const rows = Array.from({ length: 80 }, (_, c) =>
          this.#row("audio.table", c * 16 + levels[frame * 80 + c]!),
        );
        tokens.push({ kind: "audio", turn, slot: frame, embedding: this.#norm("audio.norm", sum(rows)) });
      }
    }
    if (block.video) {
      for (const [tile, token] of this.#tiles(block.video).entries()) {
        const embedding = sum([token, this.#row("embed.tile", tile)]);
        tokens.push({ kind: "video", turn, slot: 4 + tile, embedding });
      }
    }
    for (const [i, id] of block.told.entries()) {
      tokens.push({ kind: "told", turn, slot: 16 + i, embedding: text(id, 0) });
    }
    tokens.push({ kind: "clock", turn, slot: 40, embedding: this.#clock(turn) });
    for (const [i, id] of said.entries()) {
      tokens.push({ kind: "said", turn, slot: 41 + i, embedding: text(id, 1) });
    }
    return tokens;
  }

  transform(tokens: readonly Token[]): Float64Array[] {
    const { nLayers, nHeads, nKvHeads, headDim, ffDim } = this.#config;
    let x = tokens.map((token) => token.embedding);
    const sees = this.#visibility(tokens);
    for (let layer = 0; layer < nLayers; layer++) {
      const name = `layers.${layer}`;
      const qkv = x.map((row) => this.#linear(`${name}.qkv`, this.#norm(`${name}.attention_norm`, row)));
      for (const [i, row] of qkv.entries()) {
        for (let head = 0; head < nHeads + nKvHeads; head++) this.#rotate(row, head * headDim, tokens[i]!);
      }
      x = x.map((row, i) => {
        const attended = new Float64Array(nHeads * headDim);
        for (let head = 0; head < nHeads; head++) this.#attend(attended, head, i, qkv, sees[i]!);
        return sum([row, this.#linear(`${name}.attention_out`, attended)]);
      });
      x = x.map((row) => {
        const gateUp = this.#linear(`${name}.gate_up`, this.#norm(`${name}.mlp_norm`, row));
        const gated = Float64Array.from({ length: ffDim }, (_, i) => {
          const gate = gateUp[i]!;
          return (gate / (1 + Math.exp(-gate))) * gateUp[ffDim + i]!;
        });
        return sum([row, this.#linear(`${name}.down`, gated)]);
      });
    }
    return x;
  }

  logitsOf(hidden: Float64Array): Float64Array {
    return sum([
      this.#linear("embed.text", this.#norm("out_norm", hidden)),
      Float64Array.from(this.#values("head.bias")),
    ]);
  }

  /** For each token the indices of those it sees: README "Memory", by counting. */
  #visibility(tokens: readonly Token[]): number[][] {
    const { perceptionTurns, toldTokens, saidTokens } = this.#config.memory;
    return tokens.map((query, q) => {
      const told: number[] = [];
      const said: number[] = [];
      const perceived: number[] = [];
      for (const [i, token] of tokens.entries()) {
        // The told tokens of the query's own block have entered the cache, before and after the query.
        if (token.kind === "told" && token.turn <= query.turn) told.push(i);
        if (i > q) continue;
        if (token.kind === "said") said.push(i);
        if (token.kind !== "told" && token.kind !== "said" && query.turn - token.turn < perceptionTurns) {
          perceived.push(i);
        }
      }
      return [...perceived, ...told.slice(-toldTokens).filter((i) => i <= q), ...said.slice(-saidTokens)];
    });
  }

  #attend(out: Float64Array, head: number, query: number, qkv: Float64Array[], seen: number[]): void {
    const { nHeads, nKvHeads, headDim } = this.#config;
    const kvHead = Math.floor(head / (nHeads / nKvHeads));
    const q = head * headDim;
    const k = (nHeads + kvHead) * headDim;
    const v = (nHeads + nKvHeads + kvHead) * headDim;
    const scores = seen.map((key) => {
      let dot = 0;
      for (let i = 0; i < headDim; i++) dot += qkv[query]![q + i]! * qkv[key]![k + i]!;
      return dot / Math.sqrt(headDim);
    });
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((a, b) => a + b);
    for (const [j, key] of seen.entries()) {
      for (let i = 0; i < headDim; i++) out[q + i]! += (weights[j]! / total) * qkv[key]![v + i]!;
    }
  }

  #rotate(row: Float64Array, start: number, { turn, slot }: Token): void {
    const half = this.#config.headDim / 2;
    const position = 64n * BigInt(turn) + BigInt(slot);
    for (const [i, log2] of this.#config.rotaryLog2.entries()) {
      const period = 1n << BigInt(log2);
      const angle = (2 * Math.PI * Number(position % period)) / Number(period);
      const [a, b] = [row[start + i]!, row[start + i + half]!];
      row[start + i] = a * Math.cos(angle) - b * Math.sin(angle);
      row[start + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }

  #clock(turn: number): Float64Array {
    const tick = turn + 1;
    const time = Math.floor(tick / 5);
    const [s, m, h] = [time % 60, Math.floor(time / 60) % 60, Math.floor(time / 3600) % 24];
    const rows = [
      tick % 5,
      5 + (s % 10),
      15 + Math.floor(s / 10),
      21 + (m % 10),
      31 + Math.floor(m / 10),
      37 + h,
    ];
    return sum(rows.map((row) => this.#row("embed.clock", row)));
  }

  /** One vector a tile, row by row, without the tile embedding. */
  #tiles(video: Int8Array): Float64Array[] {
    const { width, height, tile, folds } = this.#config.video;
    const tokens: Float64Array[] = [];
    for (let top = 0; top < height; top += tile) {
      for (let left = 0; left < width; left += tile) {
        let cell = (frame: number, row: number, column: number): ArrayLike<number> => {
          const at = ((frame * height + top + row) * width + left + column) * 3;
          return Array.from(video.subarray(at, at + 3), (value) => value / 32);
        };
        for (const [i, { t, h }] of folds.entries()) {
          const inner = cell;
          const known = new Map<string, Float64Array>();
          cell = (frame, row, column) => {
            const key = `${frame} ${row} ${column}`;
            if (!known.has(key)) known.set(key, this.#fold(i, inner, t, h, frame, row, column));
            return known.get(key)!;
          };
        }
        tokens.push(Float64Array.from(cell(0, 0, 0)));
      }
    }
    return tokens;
  }

  #fold(
    i: number,
    inner: (frame: number, row: number, column: number) => ArrayLike<number>,
    t: number,
    h: number,
    frame: number,
    row: number,
    column: number,
  ): Float64Array {
    const channels: number[] = [];
    for (let f = 0; f < t; f++) {
      for (let r = 0; r < h; r++) {
        for (let c = 0; c < h; c++) {
          channels.push(...Array.from(inner(frame * t + f, row * h + r, column * h + c)));
        }
      }
    }
    const out = this.#linear(`video.fold.${i}.weight`, Float64Array.from(channels));
    if (i === this.#config.video.folds.length - 1) return out;
    return this.#norm(`video.fold.${i}.norm`, out, this.#config.video.normEps).map(
      (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    );
  }

  #norm(name: string, x: Float64Array, eps = this.#config.normEps): Float64Array {
    const weight = this.#values(name);
    const squares = x.reduce((total, value) => total + value * value, 0);
    const scale = 1 / Math.sqrt(squares / x.length + eps);
    return x.map((value, i) => value * scale * weight[i]!);
  }

  #linear(name: string, x: Float64Array): Float64Array {
    const weight = this.#values(name);
    return Float64Array.from({ length: weight.length / x.length }, (_, row) => {
      let total = 0;
      for (let i = 0; i < x.length; i++) total += weight[row * x.length + i]! * x[i]!;
      return total;
    });
  }

  #row(name: string, row: number): Float64Array {
    const { dim } = this.#config;
    return Float64Array.from(this.#values(name).subarray(row * dim, (row + 1) * dim));
  }

  #values(name: string): Float32Array {
    return toF32(this.#tensors.get(name)!).data;
  }
}

function sum(rows: readonly Float64Array[]): Float64Array {
  return rows[0]!.map((_, i) => rows.reduce((total, row) => total + row[i]!, 0));
}

/** The error function by its power series, good to 1e-12 for |x| < 3.5; beyond 6 it is 1 to the last bit. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}
