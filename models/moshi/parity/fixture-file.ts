import { RuntimeError } from "../../../src/core/errors.ts";
import type { StoredTensorFile } from "../../tensors/ranges.ts";
import { openStoredSafetensors } from "../../tensors/safetensors.ts";

/** Rows of a tensor of a fixture: everything below its first dimension. */
export interface Rows<Values extends Float32Array | Int32Array> {
  readonly count: number;
  /** Row t, a view. */
  at(t: number): Values;
  readonly all: Values;
}

/** Inputs and outputs of the original implementation: a safetensors file, each tensor with the shape that it must have. */
export class FixtureFile {
  readonly #file: StoredTensorFile;

  private constructor(file: StoredTensorFile) {
    this.#file = file;
  }

  /** Opens the file for `use`, which may not keep it. */
  static async with<Result>(path: string, use: (file: FixtureFile) => Promise<Result>): Promise<Result> {
    const file = await openStoredSafetensors(path);
    try {
      return await use(new FixtureFile(file));
    } finally {
      await file.close();
    }
  }

  has(name: string): boolean {
    return this.#file.tensors.has(name);
  }

  /** Dimensions of a tensor. @throws RuntimeError "invalid-checkpoint" if it has none of that name or rank. */
  shape(name: string, rank: number): readonly number[] {
    const shape = this.#file.tensors.get(name)?.shape;
    if (shape?.length !== rank || shape.includes(0)) {
      throw this.#fault(`${name} is [${shape ?? "absent"}], expected ${rank} dimensions`);
    }
    return shape;
  }

  /** @param shape Null where any size will do. */
  async numbers(name: string, shape: readonly (number | null)[]): Promise<Rows<Float32Array>> {
    this.#expectShape(name, shape);
    return rowsOf(await this.#file.read(name), this.shape(name, shape.length)[0]!);
  }

  /** Whole numbers, exact. @throws RuntimeError "invalid-checkpoint" for another type or a number beyond 32 bits. */
  async tokens(name: string, shape: readonly (number | null)[]): Promise<Rows<Int32Array>> {
    this.#expectShape(name, shape);
    const { dtype } = this.#file.tensors.get(name)!;
    const { buffer, byteOffset, byteLength } = await this.#file.readStored(name);
    if (dtype === "I32")
      return rowsOf(new Int32Array(buffer, byteOffset, byteLength / 4), this.shape(name, shape.length)[0]!);
    if (dtype !== "I64") throw this.#fault(`${name} is of type ${dtype}, expected I32 or I64`);
    const long = new BigInt64Array(buffer, byteOffset, byteLength / 8);
    if (long.some((value) => value !== BigInt.asIntN(32, value)))
      throw this.#fault(`${name} holds numbers beyond 32 bits`);
    return rowsOf(Int32Array.from(long, Number), this.shape(name, shape.length)[0]!);
  }

  #expectShape(name: string, expected: readonly (number | null)[]): void {
    const shape = this.shape(name, expected.length);
    if (expected.some((size, i) => size !== null && size !== shape[i])) {
      throw this.#fault(`${name} is [${shape}], expected [${expected.map((size) => size ?? "any")}]`);
    }
  }

  #fault(problem: string): RuntimeError {
    return new RuntimeError("invalid-checkpoint", {
      part: "parity",
      problem: `${this.#file.source}: ${problem}`,
    });
  }
}

function rowsOf<Values extends Float32Array | Int32Array>(all: Values, count: number): Rows<Values> {
  const width = all.length / count;
  return { count, all, at: (t) => all.subarray(t * width, (t + 1) * width) as Values };
}
