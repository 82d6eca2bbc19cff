import { RuntimeError } from "../../../src/core/errors.ts";
import { ProtobufMessage } from "./protobuf.ts";

/** Element types and their numbers in TensorProto.DataType. */
const DATA_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10, float64: 11 } as const;

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

const ELEMENT_BYTES: Record<OnnxType, number> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  float16: 2,
  float64: 8,
};

export type OnnxType = keyof typeof DATA_TYPE;

/** A size, or the name of one that is known only when the graph runs. */
export type OnnxDim = number | string;

/** ONNX tells 1 from 1.0, JavaScript does not: the kind is said. */
export type OnnxAttribute =
  | { int: number }
  | { float: number }
  | { ints: readonly number[] }
  | { string: string };

export interface OnnxNodeOptions {
  attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** "" is ONNX itself, "com.microsoft" holds onnxruntime's own operators. */
  domain?: "" | "com.microsoft";
}

/**
 * Builds an ONNX model in memory, operator by operator, for onnxruntime's `InferenceSession.create`. Every method that
 * makes a value returns its name, to be given to later nodes; "" stands for an optional input left out.
 *
 *     const graph = new OnnxGraph();
 *     const x = graph.input("x", "float32", ["n", 4]);
 *     graph.output(graph.node("Relu", [x]), "float32", ["n", 4]);
 *     const session = await InferenceSession.create(graph.encode());
 *
 * Field numbers: github.com/onnx/onnx, onnx/onnx.proto.
 */
export class OnnxGraph {
  #graph = new ProtobufMessage().string(2, "graph");
  #names = new Set<string>();
  #nodeCount = 0;

  /** Declares a value that the caller feeds. */
  input(name: string, type: OnnxType, dims: readonly OnnxDim[]): string {
    this.#claim(name);
    this.#graph.message(11, valueInfo(name, type, dims));
    return name;
  }

  /** Declares that a value is handed back, under the name it was made with. */
  output(name: string, type: OnnxType, dims: readonly OnnxDim[]): void {
    if (!this.#names.has(name)) throw fault(`output ${name} is made by no node`);
    this.#graph.message(12, valueInfo(name, type, dims));
  }

  /** Adds a constant tensor. `data` is borrowed until `encode` is called. */
  constant(name: string, type: OnnxType, dims: readonly number[], data: NodeJS.TypedArray): string {
    this.#claim(name);
    const expected = dims.reduce((product, dim) => product * dim, ELEMENT_BYTES[type]);
    if (data.byteLength !== expected) {
      throw fault(`constant ${name} holds ${data.byteLength} bytes, expected ${expected}`);
    }
    const tensor = new ProtobufMessage();
    for (const dim of dims) tensor.int(1, dim);
    tensor.int(2, DATA_TYPE[type]).string(8, name);
    tensor.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.#graph.message(5, tensor);
    return name;
  }

  /** A constant vector of integers, as shape and index inputs want it. */
  int64s(values: readonly number[]): string {
    const name = `int64s_${values.join("_")}`;
    if (this.#names.has(name)) return name;
    return this.constant(name, "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** A constant f32 scalar. */
  scalar(value: number): string {
    const name = `scalar_${value}`;
    if (this.#names.has(name)) return name;
    return this.constant(name, "float32", [], Float32Array.of(value));
  }

  /** Adds a node with one output; `name` names the output, else it is numbered. */
  node(
    operator: string,
    inputs: readonly string[],
    options: OnnxNodeOptions & { name?: string } = {},
  ): string {
    return this.nodes(operator, inputs, [options.name ?? `${operator}_${this.#nodeCount}`], options)[0]!;
  }

  /** Adds a node with several outputs, named by the caller. */
  nodes(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    options: OnnxNodeOptions = {},
  ): readonly string[] {
    const node = new ProtobufMessage();
    for (const input of inputs) {
      if (input !== "" && !this.#names.has(input))
        throw fault(`${operator} reads ${input}, which no node makes`);
      node.string(1, input);
    }
    for (const output of outputs) {
      this.#claim(output);
      node.string(2, output);
    }
    node.string(3, `${operator}_${this.#nodeCount++}`).string(4, operator);
    for (const [name, attribute] of Object.entries(options.attributes ?? {})) {
      node.message(5, attributeMessage(name, attribute));
    }
    if (options.domain) node.string(7, options.domain);
    this.#graph.message(1, node);
    return outputs;
  }

  /** The model's bytes. IR version 8 and operator set 17 are read by every onnxruntime since 1.12. */
  encode(): Uint8Array {
    return new ProtobufMessage()
      .int(1, 8)
      .string(2, "microturn")
      .message(7, this.#graph)
      .message(8, new ProtobufMessage().string(1, "").int(2, 17))
      .message(8, new ProtobufMessage().string(1, "com.microsoft").int(2, 1))
      .encode();
  }

  #claim(name: string): void {
    if (name === "" || this.#names.has(name)) throw fault(`the name "${name}" is empty or taken`);
    this.#names.add(name);
  }
}

function valueInfo(name: string, type: OnnxType, dims: readonly OnnxDim[]): ProtobufMessage {
  const shape = new ProtobufMessage();
  for (const dim of dims) {
    const message = new ProtobufMessage();
    shape.message(1, typeof dim === "number" ? message.int(1, dim) : message.string(2, dim));
  }
  const tensorType = new ProtobufMessage().int(1, DATA_TYPE[type]).message(2, shape);
  return new ProtobufMessage().string(1, name).message(2, new ProtobufMessage().message(1, tensorType));
}

function attributeMessage(name: string, attribute: OnnxAttribute): ProtobufMessage {
  const message = new ProtobufMessage().string(1, name);
  if ("int" in attribute) return message.int(3, attribute.int).int(20, ATTRIBUTE_TYPE.int);
  if ("float" in attribute) return message.float(2, attribute.float).int(20, ATTRIBUTE_TYPE.float);
  if ("string" in attribute) return message.string(4, attribute.string).int(20, ATTRIBUTE_TYPE.string);
  for (const value of attribute.ints) message.int(8, value);
  return message.int(20, ATTRIBUTE_TYPE.ints);
}

function fault(problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", { part: "onnx graph", problem });
}
