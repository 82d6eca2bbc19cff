import type { Conditions } from "../../../../models/moshi/language-model.ts";
import type { ReferenceConfig } from "./config.ts";
import {
  add,
  attention,
  gatedMlp,
  layerNorm,
  linear,
  rmsNorm,
  rotate,
  row,
  softmax,
  type Vector,
  type Weights,
} from "./layers.ts";

interface Cache {
  keys: Vector[];
  values: Vector[];
}

/** One sequence through the temporal and the depth transformer, in double precision; every key since the start is kept. */
export class ReferenceSequence {
  readonly #config: ReferenceConfig;
  readonly #weights: Weights;
  readonly #sum: Float32Array | undefined;
  readonly #window: number;
  readonly #caches: Cache[];
  /** Of each layer: keys and values of what the condition attends to. Empty where there is nothing to attend to. */
  #cross: Cache[];
  /** Of each layer in the newest step: the mean of its gates. */
  #openings: number[] = [];
  #position = 0;

  constructor(config: ReferenceConfig, weights: Weights, conditions: Conditions | undefined, window: number) {
    this.#config = config;
    this.#weights = weights;
    this.#sum = conditions?.sum;
    this.#window = window;
    this.#caches = Array.from({ length: config.nLayers }, () => ({ keys: [], values: [] }));
    this.#cross =
      config.crossAttention === "plain" ? this.#crossCaches(conditions?.cross ?? new Float32Array()) : [];
  }

  /** From the next step on attends to an image's tokens, (length, dim), or to none. */
  see(image: Float32Array | null): void {
    this.#cross = image ? this.#crossCaches(image) : [];
  }

  /** The mean of the last ten layers' gates in the newest step; null where it saw nothing. */
  get gateOpening(): number | null {
    const last = this.#openings.slice(-10);
    return last.length === 0 ? null : last.reduce((sum, opening) => sum + opening, 0) / last.length;
  }

  #crossCaches(source: Float32Array): Cache[] {
    const { dim, nLayers } = this.#config;
    const rows = Array.from({ length: source.length / dim }, (_, r) =>
      Float64Array.from(source.subarray(r * dim, (r + 1) * dim)),
    );
    return Array.from({ length: nLayers }, (_, i) => {
      const projection = this.#crossWeights(i)("in_proj_weight");
      return {
        keys: rows.map((x) => linear(projection, x, dim, dim)),
        values: rows.map((x) => linear(projection, x, dim, 2 * dim)),
      };
    });
  }

  /** What layers have in common lies in the first. */
  #crossWeights(layer: number): Weights {
    const holder = this.#config.crossAttention === "gated" ? 0 : layer;
    return (name) => this.#weights(`transformer.layers.${holder}.cross_attention.${name}`);
  }

  /** What is added to x for what layer i attends to. */
  #attendAcross(i: number, x: Vector, { keys, values }: Cache): Vector {
    const { dim, nHeads, crossAttention } = this.#config;
    const weight = (name: string): ArrayLike<number> => this.#weights(`transformer.layers.${i}.${name}`);
    const shared = this.#crossWeights(i);
    const isGated = crossAttention === "gated";
    const normed = isGated
      ? rmsNorm(x, weight("norm_cross.alpha"))
      : layerNorm(x, weight("norm_cross.weight"), weight("norm_cross.bias"));
    const q = linear(shared("in_proj_weight"), normed, dim);
    const update = linear(shared("out_proj.weight"), attention(q, keys, values, nHeads), dim);
    if (!isGated) return update;
    const gate = "cross_attention.gate.alpha";
    const narrow = linear(weight(`${gate}.0.weight`), update, Math.floor(dim / 8));
    const logits = linear(
      weight(`${gate}.2.weight`),
      narrow.map((value) => Math.max(value, 0)),
      dim,
    );
    const gates = logits.map((logit) => 1 / (1 + Math.exp(4 - logit)));
    this.#openings.push(gates.reduce((sum, value) => sum + value, 0) / dim);
    return update.map((value, c) => value * gates[c]!);
  }

  /** The text embedding; a demuxed token holds two texts in the radix textCard + 1. */
  #textEmbedding(prefix: string, token: number, width: number, outWidth: number): Vector {
    const table = this.#weights(`${prefix}.weight`);
    if (!this.#config.demux || token === -1) return row(table, token, width);
    const radix = this.#config.textCard + 1;
    const first = row(table, token % radix, width);
    const second = Math.floor(token / radix) - 1;
    const out = linear(this.#weights(`${prefix}.out1.weight`), first, outWidth);
    if (second < 0) return out;
    return add(out, linear(this.#weights(`${prefix}.out2.weight`), row(table, second, width), outWidth));
  }

  /** @returns (dim) the normalised output of one step. */
  temporal(tokens: ArrayLike<number>, embedding?: ArrayLike<number>): Vector {
    const { dim, nQ, nLayers } = this.#config;
    let x: Vector = new Float64Array(dim);
    if (embedding) x = add(x, embedding);
    else {
      for (let q = 0; q < nQ; q++) x = add(x, row(this.#weights(`emb.${q}.weight`), tokens[1 + q]!, dim));
      const text = this.#textEmbedding("text_emb", tokens[0]!, dim, dim);
      x = add(x, tokens[0] === -1 ? new Float64Array(dim) : text);
    }
    if (this.#sum) x = add(x, this.#sum);
    this.#openings = [];
    for (let i = 0; i < nLayers; i++) x = this.#layer(i, x);
    this.#position++;
    return rmsNorm(x, this.#weights("out_norm.alpha"));
  }

  #layer(i: number, input: Vector): Vector {
    const { dim, nHeads, kvRepeat, maxPeriod, ropeHalves, gatedDim } = this.#config;
    const weight = (name: string): ArrayLike<number> => this.#weights(`transformer.layers.${i}.${name}`);
    const kvDim = dim / kvRepeat;
    const headDim = dim / nHeads;
    let x = input;

    const normed = rmsNorm(x, weight("norm1.alpha"));
    const projection = weight("self_attn.in_proj_weight");
    const q = linear(projection, normed, dim);
    const k = linear(projection, normed, kvDim, dim);
    const v = linear(projection, normed, kvDim, dim + kvDim);
    rotate(q, this.#position, headDim, maxPeriod, ropeHalves);
    rotate(k, this.#position, headDim, maxPeriod, ropeHalves);
    const cache = this.#caches[i]!;
    cache.keys.push(k);
    cache.values.push(v);
    const seen = attention(
      q,
      cache.keys.slice(-this.#window),
      cache.values.slice(-this.#window),
      nHeads,
      kvRepeat,
    );
    x = add(x, linear(weight("self_attn.out_proj.weight"), seen, dim));

    const cross = this.#cross[i];
    if (cross) x = add(x, this.#attendAcross(i, x, cross));
    const hidden = rmsNorm(x, weight("norm2.alpha"));
    return add(
      x,
      gatedMlp(hidden, weight("gating.linear_in.weight"), weight("gating.linear_out.weight"), gatedDim),
    );
  }

  textLogits(t: Vector): Vector {
    return linear(this.#weights("text_linear.weight"), t, this.#config.textCard);
  }

  /** (count * classes) probabilities. */
  extraHeads(t: Vector): Float32Array {
    const { count, classes } = this.#config.extraHeads;
    return Float32Array.from(
      Array.from({ length: count }, (_, i) => [
        ...softmax(linear(this.#weights(`extra_heads.${i}.weight`), t, classes)),
      ]).flat(),
    );
  }

  /** The depth transformer over the steps of one frame. */
  depthFrame(t: Vector): ReferenceDepth {
    return new ReferenceDepth(
      this.#config,
      this.#weights,
      t,
      (token) => {
        const { dim, lowRank } = this.#config.depth;
        return this.#depthEmbedding("depformer_text_emb", token, lowRank ?? dim, this.#config.demux);
      },
      (codebook, token) => {
        const { dim, lowRank } = this.#config.depth;
        return this.#depthEmbedding(`depformer_emb.${codebook}`, token, lowRank ?? dim, false);
      },
    );
  }

  #depthEmbedding(prefix: string, token: number, width: number, demux: boolean): Vector {
    const { dim, lowRank } = this.#config.depth;
    if (token === -1) return new Float64Array(dim);
    if (demux) return this.#textEmbedding(prefix, token, width, dim);
    const embedded = row(this.#weights(`${prefix}.weight`), token, width);
    return lowRank === null ? embedded : linear(this.#weights(`${prefix}.low_rank.weight`), embedded, dim);
  }
}

/** The steps of the depth transformer within one frame. */
export class ReferenceDepth {
  readonly #config: ReferenceConfig;
  readonly #weights: Weights;
  readonly #t: Vector;
  readonly #text: (token: number) => Vector;
  readonly #audio: (codebook: number, token: number) => Vector;
  readonly #caches: Cache[];

  constructor(
    config: ReferenceConfig,
    weights: Weights,
    t: Vector,
    text: (token: number) => Vector,
    audio: (codebook: number, token: number) => Vector,
  ) {
    this.#config = config;
    this.#weights = weights;
    this.#t = t;
    this.#text = text;
    this.#audio = audio;
    this.#caches = Array.from({ length: config.depth.nLayers }, () => ({ keys: [], values: [] }));
  }

  /**
   * @param k     The codebook.
   * @param token What came before it: the text token for k = 0, else the token of codebook k - 1.
   * @returns (card) logits.
   */
  step(k: number, token: number): Vector {
    const { dim, nHeads, nLayers, gatedDim, schedule, outputNorm, window } = this.#config.depth;
    const set = schedule[k]!;
    let x = linear(this.#weights(`depformer_in.${set}.weight`), this.#t, dim);
    x = add(x, k === 0 ? this.#text(token) : this.#audio(k - 1, token));
    for (let j = 0; j < nLayers; j++) {
      const weight = (name: string): ArrayLike<number> => this.#weights(`depformer.layers.${j}.${name}`);
      const normed = rmsNorm(x, weight("norm1.alpha"));
      // Each set's Q, K and V rows stand together: set after set, not projection after projection.
      const projection = weight("self_attn.in_proj_weight");
      const cache = this.#caches[j]!;
      cache.keys.push(linear(projection, normed, dim, (3 * set + 1) * dim));
      cache.values.push(linear(projection, normed, dim, (3 * set + 2) * dim));
      const q = linear(projection, normed, dim, 3 * set * dim);
      const seen = attention(q, cache.keys.slice(-window), cache.values.slice(-window), nHeads);
      x = add(x, linear(weight("self_attn.out_proj.weight"), seen, dim, set * dim));
      const hidden = rmsNorm(x, weight("norm2.alpha"));
      const linearIn = weight(`gating.${set}.linear_in.weight`);
      x = add(x, gatedMlp(hidden, linearIn, weight(`gating.${set}.linear_out.weight`), gatedDim));
    }
    if (outputNorm)
      x = layerNorm(
        x,
        this.#weights(`depformer_norms.${k}.weight`),
        this.#weights(`depformer_norms.${k}.bias`),
      );
    return linear(this.#weights(`linears.${k}.weight`), x, this.#config.card);
  }
}
