import type { ConvTensor } from "../../../kernels/causal-conv/conv-weights.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";

/** Reads Mimi's tensors by name, each with the shape that the configuration wants. */
export class MimiTensors {
  readonly #file: TensorFile;

  constructor(file: TensorFile) {
    this.#file = file;
  }

  /** @throws RuntimeError "invalid-checkpoint" if there is none of that name or it has another shape. */
  async read(name: string, shape: readonly number[]): Promise<Float32Array> {
    const entry = this.#file.tensors.get(name);
    if (entry && entry.shape.join() !== shape.join()) {
      throw new RuntimeError("invalid-checkpoint", {
        part: "mimi",
        problem: `${this.#file.source}: ${name} is ${entry.shape.join(" x ")}, expected ${shape.join(" x ")}`,
        remedy: "Use the mimi_config.json that belongs to these weights",
      });
    }
    return this.#file.read(name);
  }

  /** A convolution with its bias: `name` + ".weight" and ".bias". */
  async conv(name: string, shape: Omit<ConvTensor, "weight" | "bias">): Promise<ConvTensor> {
    const { outChannels, inChannels, taps } = shape;
    return {
      ...shape,
      weight: await this.read(`${name}.weight`, [outChannels, inChannels, taps]),
      bias: await this.read(`${name}.bias`, [outChannels]),
    };
  }

  /** A matrix whose row r is multiplied by scale[r], as a layer scale after it does. */
  async scaledMatrix(
    name: string,
    scaleName: string,
    [rows, cols]: readonly [number, number],
  ): Promise<Float32Array> {
    const matrix = await this.read(name, [rows, cols]);
    const scale = await this.read(scaleName, [rows]);
    return matrix.map((value, i) => value * scale[Math.floor(i / cols)]!);
  }
}
