import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { OnnxGraph } from "../../../../models/native/cpu/onnx-graph.ts";
import { ProtobufMessage } from "../../../../models/native/cpu/protobuf.ts";

test("protobuf fields have the bytes of the encoding guide", () => {
  // protobuf.dev/programming-guides/encoding: field 1 = 150, field 2 = "testing", and -2 as int64.
  expect([...new ProtobufMessage().int(1, 150).encode()]).toEqual([0x08, 0x96, 0x01]);
  expect(Buffer.from(new ProtobufMessage().string(2, "testing").encode()).toString("hex")).toBe(
    "120774657374696e67",
  );
  expect(Buffer.from(new ProtobufMessage().int(1, -2).encode()).toString("hex")).toBe(
    "08feffffffffffffffff01",
  );
  expect([...new ProtobufMessage().message(3, new ProtobufMessage().int(1, 150)).encode()]).toEqual([
    0x1a, 3, 0x08, 0x96, 0x01,
  ]);
  expect([...new ProtobufMessage().float(1, 1).encode()]).toEqual([0x0d, 0, 0, 0x80, 0x3f]);
});

test("onnxruntime runs a graph with every kind of attribute, a free size and an optional input", async () => {
  const graph = new OnnxGraph();
  const x = graph.input("x", "float32", ["n", 2]);
  const weight = graph.constant("weight", "float32", [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
  // alpha (float), transB (int)
  const product = graph.node("Gemm", [x, weight], {
    attributes: { alpha: { float: 0.5 }, transB: { int: 1 } },
  });
  const turned = graph.node("Transpose", [product], { attributes: { perm: { ints: [1, 0] } } });
  const clipped = graph.node("Clip", [turned, "", graph.scalar(4)], { name: "clipped" });
  graph.output(clipped, "float32", [3, "n"]);
  const gelu = graph.node("Gelu", [x], { domain: "com.microsoft", name: "gelu" });
  graph.output(gelu, "float32", ["n", 2]);
  const session = await InferenceSession.create(graph.encode(), { intraOpNumThreads: 1 });
  const result = await session.run({ x: new Tensor("float32", Float32Array.of(1, 0, 0, 1), [2, 2]) });
  expect(result.clipped!.dims).toEqual([3, 2]);
  expect([...(result.clipped!.data as Float32Array)]).toEqual([0.5, 1, 1.5, 2, 2.5, 3]);
  expect((result.gelu!.data as Float32Array)[0]).toBeCloseTo(0.841345, 5);
  await session.release();
});

test("a graph refuses a wrong constant, a taken name and an unknown input by name", () => {
  const graph = new OnnxGraph();
  expect(() => graph.constant("c", "float32", [2], Float32Array.of(1))).toThrow(
    /c holds 4 bytes, expected 8/,
  );
  graph.input("x", "float32", [1]);
  expect(() => graph.input("x", "float32", [1])).toThrow(/"x" is empty or taken/);
  expect(() => graph.node("Relu", ["y"])).toThrow(/Relu reads y/);
  expect(() => graph.output("z", "float32", [1])).toThrow(/output z/);
});
