import {
  causalConvReference,
  eluReference,
  geluReference,
} from "../../../../kernels/causal-conv/causal-conv.reference.ts";
import { causalTransposedConvReference } from "../../../../kernels/causal-transposed-conv/causal-transposed-conv.reference.ts";
import { layerNormReference } from "../../../../kernels/layer-norm/layer-norm.reference.ts";
import { matmulReference } from "../../../../kernels/matmul/matmul.reference.ts";
import { rvqEncodeReference, rvqSumReference } from "../../../../kernels/rvq/rvq.reference.ts";
import type { MimiConfig } from "../../../../models/moshi/mimi/config.ts";
import type { TensorFile } from "../../../../models/tensors/tensor-file.ts";

/** Mimi in plain double loops over a whole signal at once: no frame, no ring, no state. */
export class MimiReference {
  readonly #config: MimiConfig;
  readonly #tensors: TensorFile;
  /** Positions a frame. */
  readonly #stride: number;

  constructor(config: MimiConfig, tensors: TensorFile) {
    this.#config = config;
    this.#tensors = tensors;
    this.#stride = 1920 / config.seanet.ratios.reduce((product, ratio) => product * ratio, 1);
  }

  /** @returns (frames, dim) latents and (frames, nCodebooksUsed) codes. */
  async encode(wav: ArrayLike<number>): Promise<{ latents: Float64Array; codes: number[][] }> {
    const { seanet, transformer, quantizer, nCodebooksUsed } = this.#config;
    const { dim } = transformer;
    let n = 0;
    let channels = seanet.nFilters;
    const next = () => `encoder.model.${n++}`;
    let x = await this.#conv(next(), wav, 1, channels, { taps: seanet.kernelSize });
    for (const ratio of [...seanet.ratios].reverse()) {
      for (let j = 0; j < seanet.nResidualLayers; j++) x = await this.#residual(next(), x, channels, j);
      n++;
      const shape = { taps: 2 * ratio, stride: ratio };
      x = await this.#conv(next(), eluReference(x), channels, 2 * channels, shape);
      channels *= 2;
    }
    n++;
    x = await this.#conv(next(), eluReference(x), channels, dim, { taps: seanet.lastKernelSize });
    x = await this.#transform("encoder_transformer", x);
    const down = await this.#tensors.read("downsample.conv.conv.conv.weight");
    const shape = { inChannels: dim, outChannels: dim, taps: 2 * this.#stride, stride: this.#stride };
    const latents = causalConvReference({ ...shape, dilation: 1, replicate: true }, x, down, null);
    const parts = await Promise.all(
      ["rvq_first", "rvq_rest"].map(async (part) =>
        matmulReference(latents, await this.#tensors.read(`quantizer.${part}.input_proj.weight`), dim),
      ),
    );
    const books = await this.#codebooks(nCodebooksUsed);
    const codes = Array.from({ length: latents.length / dim }, (_, t) => {
      const [semantic, acoustic] = parts.map((part) =>
        part.subarray(t * quantizer.dim, (t + 1) * quantizer.dim),
      );
      return rvqEncodeReference(books, semantic!, acoustic!);
    });
    return { latents, codes };
  }

  /** @param codes (frames, at most nCodebooksUsed). @returns (frames · 1920). */
  async decode(codes: readonly (readonly number[])[]): Promise<Float64Array> {
    const { seanet, transformer, quantizer } = this.#config;
    const { dim } = transformer;
    const books = await this.#codebooks(codes[0]!.length);
    const projections = await Promise.all(
      ["rvq_first", "rvq_rest"].map((part) => this.#tensors.read(`quantizer.${part}.output_proj.weight`)),
    );
    const latents = new Float64Array(codes.length * dim);
    for (const [t, frame] of codes.entries()) {
      const sums = rvqSumReference(books, frame);
      for (const [i, projection] of projections.entries()) {
        const half = sums.subarray(i * quantizer.dim, (i + 1) * quantizer.dim);
        const projected = matmulReference(half, projection, quantizer.dim);
        for (let d = 0; d < dim; d++) latents[t * dim + d]! += projected[d]!;
      }
    }
    const up = await this.#tensors.read("upsample.convtr.convtr.convtr.weight");
    const resampling = { inChannels: dim, outChannels: dim, taps: 2 * this.#stride, stride: this.#stride };
    let x = causalTransposedConvReference({ ...resampling, depthwise: true }, latents, up, null);
    x = await this.#transform("decoder_transformer", x);
    let n = 0;
    let channels = seanet.nFilters * 2 ** seanet.ratios.length;
    const next = () => `decoder.model.${n++}`;
    x = await this.#conv(next(), x, dim, channels, { taps: seanet.kernelSize });
    for (const ratio of seanet.ratios) {
      n++;
      const name = `${next()}.convtr.convtr`;
      const shape = { inChannels: channels, outChannels: channels / 2, taps: 2 * ratio, stride: ratio };
      const [weight, bias] = await this.#pair(name);
      x = causalTransposedConvReference(shape, eluReference(x), weight, bias);
      channels /= 2;
      for (let j = 0; j < seanet.nResidualLayers; j++) x = await this.#residual(next(), x, channels, j);
    }
    n++;
    return this.#conv(next(), eluReference(x), channels, 1, { taps: seanet.lastKernelSize });
  }

  async #codebooks(count: number) {
    const { bins, dim } = this.#config.quantizer;
    const centroids = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const layer = i === 0 ? "rvq_first.vq.layers.0" : `rvq_rest.vq.layers.${i - 1}`;
        const name = `quantizer.${layer}._codebook`;
        const usage = await this.#tensors.read(`${name}.cluster_usage`);
        const sums = await this.#tensors.read(`${name}.embedding_sum`);
        return Float64Array.from(sums, (sum, at) => sum / Math.max(usage[Math.floor(at / dim)]!, 1e-5));
      }),
    );
    return { bins, dim, centroids };
  }

  async #pair(name: string): Promise<[Float32Array, Float32Array]> {
    return [await this.#tensors.read(`${name}.weight`), await this.#tensors.read(`${name}.bias`)];
  }

  async #conv(
    name: string,
    x: ArrayLike<number>,
    inChannels: number,
    outChannels: number,
    { taps, stride = 1, dilation = 1 }: { taps: number; stride?: number; dilation?: number },
  ): Promise<Float64Array> {
    const [weight, bias] = await this.#pair(`${name}.conv.conv`);
    return causalConvReference({ inChannels, outChannels, taps, stride, dilation }, x, weight, bias);
  }

  async #residual(name: string, x: Float64Array, channels: number, j: number): Promise<Float64Array> {
    const { compress, residualKernelSize, dilationBase } = this.#config.seanet;
    const shape = { taps: residualKernelSize, dilation: dilationBase ** j };
    const inner = channels / compress;
    const first = await this.#conv(`${name}.block.1`, eluReference(x), channels, inner, shape);
    const second = await this.#conv(`${name}.block.3`, eluReference(first), inner, channels, { taps: 1 });
    return second.map((value, i) => value + x[i]!);
  }

  /** The transformer over all positions, each frame's positions seeing what the ring of the streaming one still holds. */
  async #transform(prefix: string, x: Float64Array): Promise<Float64Array> {
    const { dim, nLayers } = this.#config.transformer;
    let y = x;
    const norm = async (name: string, of: Float64Array) => {
      const [weight, bias] = await this.#pair(name);
      return layerNormReference(of, weight, bias, 1e-5);
    };
    const add = async (to: Float64Array, what: Float64Array, scaleName: string) => {
      const scale = await this.#tensors.read(scaleName);
      return to.map((value, i) => value + scale[i % dim]! * what[i]!);
    };
    for (let i = 0; i < nLayers; i++) {
      const name = `${prefix}.transformer.layers.${i}`;
      const read = (part: string) => this.#tensors.read(`${name}.${part}.weight`);
      const inProj = await this.#tensors.read(`${name}.self_attn.in_proj_weight`);
      const attended = this.#attend(matmulReference(await norm(`${name}.norm1`, y), inProj, dim));
      const out = matmulReference(attended, await read("self_attn.out_proj"), dim);
      y = await add(y, out, `${name}.layer_scale_1.scale`);
      const inner = geluReference(
        matmulReference(await norm(`${name}.norm2`, y), await read("linear1"), dim),
      );
      const mlp = matmulReference(inner, await read("linear2"), this.#config.transformer.ffDim);
      y = await add(y, mlp, `${name}.layer_scale_2.scale`);
    }
    return y;
  }

  /** Key j is seen by query i if j ≤ i and j > (last position of i's frame) − context. */
  #attend(qkv: Float64Array): Float64Array {
    const { dim, nHeads, context } = this.#config.transformer;
    const headDim = dim / nHeads;
    const length = qkv.length / (3 * dim);
    const rotated = qkv.map((_, at) => this.#rotate(qkv, at, headDim));
    const out = new Float64Array(length * dim);
    for (let i = 0; i < length; i++) {
      const last = Math.floor(i / this.#stride) * this.#stride + this.#stride - 1;
      const oldest = Math.max(0, last - context + 1);
      for (let head = 0; head < nHeads; head++) {
        const query = i * 3 * dim + head * headDim;
        const weights: number[] = [];
        for (let j = oldest; j <= i; j++) {
          const key = j * 3 * dim + dim + head * headDim;
          let dot = 0;
          for (let d = 0; d < headDim; d++) dot += rotated[query + d]! * rotated[key + d]!;
          weights.push(Math.exp(dot / Math.sqrt(headDim)));
        }
        const mass = weights.reduce((sum, weight) => sum + weight, 0);
        for (const [n, weight] of weights.entries()) {
          const value = (oldest + n) * 3 * dim + 2 * dim + head * headDim;
          for (let d = 0; d < headDim; d++) {
            out[i * dim + head * headDim + d]! += (weight / mass) * qkv[value + d]!;
          }
        }
      }
    }
    return out;
  }

  /** Element `at` of (length, 3 dim) after the interleaved rotation of queries and keys. */
  #rotate(qkv: Float64Array, at: number, headDim: number): number {
    const { dim, maxPeriod } = this.#config.transformer;
    const d = (at % dim) % headDim;
    const position = Math.floor(at / (3 * dim));
    if (at % (3 * dim) >= 2 * dim) return qkv[at]!;
    const angle = position * maxPeriod ** (-(d - (d % 2)) / headDim);
    const other = d % 2 === 0 ? -qkv[at + 1]! : qkv[at - 1]!;
    return qkv[at]! * Math.cos(angle) + other * Math.sin(angle);
  }
}
