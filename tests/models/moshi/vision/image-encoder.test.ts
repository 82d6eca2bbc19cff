import { join } from "node:path";
import { expect, test } from "vitest";
import { imageTokens, type VisionConfig, visionConfigOf } from "../../../../models/moshi/vision/config.ts";
import { ImageEncoder } from "../../../../models/moshi/vision/image-encoder.ts";
import { squareOf } from "../../../../models/moshi/vision/picture.ts";
import { temporaryFolder } from "../../../cli/media.ts";
import { integers } from "../../../kernels/harness.ts";
import { expectWithin } from "../fixtures.ts";
import { writeTensors } from "../parity/small-set.ts";
import { randomTower, SMALL_TOWER, towerShapes } from "./random-tower.ts";
import { geluTanh, referenceTokens } from "./reference.ts";

const folder = temporaryFolder();
const OUT_DIM = 16;
const TIMEOUT_MS = 60_000;

/** Values of size 1 after some dozen f32 sums over 27 to 144 products. */
const LIMIT = 2e-5;

const picture = (seed: number): Uint8Array => Uint8Array.from(integers(seed, 3 * 81, 256));

async function written(name: string, spoil: (tower: ReturnType<typeof randomTower>) => void = () => {}) {
  const tower = randomTower(SMALL_TOWER, OUT_DIM);
  spoil(tower);
  const path = join(folder, name);
  await writeTensors(path, tower);
  return { tower, options: { path, outDim: OUT_DIM } };
}

async function encoded(encoder: ImageEncoder, rgb: Uint8Array) {
  const work = encoder.encode(rgb);
  for (let parts = 1; ; parts++) {
    const { done, value } = await work.next();
    if (done) return { tokens: value, parts };
  }
}

test("a picture becomes the tokens that double precision gives", { timeout: TIMEOUT_MS }, async () => {
  const { tower, options } = await written("tower.safetensors");
  const encoder = await ImageEncoder.open(options);
  expect(encoder.config).toEqual(SMALL_TOWER);
  for (const seed of [1, 2]) {
    const expected = referenceTokens(picture(seed), SMALL_TOWER, (name) => tower[name]!.data, OUT_DIM);
    const { tokens, parts } = await encoded(encoder, picture(seed));
    // One layer at a time: the patches before the first, the projection with the last.
    expect(parts).toBe(SMALL_TOWER.nLayers + 1);
    expectWithin(
      tokens,
      expected.flatMap((row) => [...row]),
      LIMIT,
    );
  }
  await encoder.close();
});

test("a picture of another size is refused", { timeout: TIMEOUT_MS }, async () => {
  const encoder = await ImageEncoder.open((await written("size.safetensors")).options);
  await expect(encoded(encoder, new Uint8Array(240))).rejects.toThrow(
    "image encoder: a picture holds 240 elements, expected 243",
  );
  await encoder.close();
});

test("a tensor that is missing or of another shape is named before there is a picture", async () => {
  const missing = await written("missing.safetensors", (tower) => {
    delete tower["image_prefix.enc.model.encoder.layers.1.mlp.fc2.bias"];
  });
  await expect(ImageEncoder.open(missing.options)).rejects.toThrow(
    "has no tensor image_prefix.enc.model.encoder.layers.1.mlp.fc2.bias. Give a MoshiVis checkpoint",
  );
  const wide = await written("wide.safetensors");
  await expect(ImageEncoder.open({ ...wide.options, outDim: 32 })).rejects.toThrow(
    "image_prefix.proj_xa.weight is (16, 144), expected (32, 144)",
  );
});

/** Files that hold nothing but names and shapes. */
function shapesOf(config: VisionConfig, changes: Record<string, number[]> = {}) {
  const shapes = { ...towerShapes(config, 4096), ...changes };
  const entries = Object.entries(shapes).map(
    ([name, shape]) => [name, { name, shape, dtype: "BF16" }] as const,
  );
  return { source: "model.safetensors", tensors: new Map(entries) };
}

/** PaliGemma 2's tower at 448 pixels. */
const RELEASED: VisionConfig = {
  dim: 1152,
  nLayers: 27,
  nHeads: 16,
  ffDim: 4304,
  patchSize: 14,
  imageSize: 448,
  normEps: 1e-6,
};

test("the released tower is known by its shapes: 400 million weights, 1024 tokens", () => {
  const file = shapesOf(RELEASED);
  expect(visionConfigOf(file)).toEqual(RELEASED);
  expect(imageTokens(RELEASED)).toBe(1024);
  const tower = [...file.tensors.values()].filter(({ name }) => name.includes(".enc."));
  const elements = tower.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect(elements / 412e6).toBeCloseTo(1, 2);
});

test.each([
  ["position_embedding.weight", [1000, 1152], "1000 positions make no square picture"],
  ["patch_embedding.weight", [1100, 3, 14, 14], "a tower of 1100 has no heads of 72"],
  ["patch_embedding.weight", [1152, 588], "is [1152,588], expected 4 dimensions"],
])("a tower that is none is refused: %s of %j", (name, shape, message) => {
  const file = shapesOf(RELEASED, { [`image_prefix.enc.model.embeddings.${name}`]: shape });
  expect(() => visionConfigOf(file)).toThrow(message);
});

test("a picture of any shape is squeezed into a square, whole", async () => {
  // Left half red, right half blue, four times as wide as high.
  const [width, height] = [32, 8];
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) rgb[3 * i + (i % width < width / 2 ? 0 : 2)] = 200;
  const square = await squareOf({ width, height, rgb }, 4);
  expect(square.length).toBe(48);
  // A cubic kernel swings a little beyond an edge.
  for (let row = 0; row < 4; row++) {
    expectWithin(square.subarray(12 * row, 12 * row + 3), [200, 0, 0], 4);
    expectWithin(square.subarray(12 * row + 9, 12 * row + 12), [0, 0, 200], 4);
  }
});

test("GELU by tanh: known values", () => {
  // 0.5 · (1 + tanh(0.7978845608 · 1.044715)) = 0.8411920; the exact GELU gives 0.8413447.
  expectWithin([geluTanh(1), geluTanh(0), geluTanh(-20)], [0.841192, 0, 0], 1e-6);
});
