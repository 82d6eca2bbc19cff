import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { openFormula, weightsByFormula } from "../../../../models/moshi/parity/weight-formula.ts";
import { describeWithFixture } from "../fixtures.ts";

/** The formula in arithmetic without 32-bit tricks. */
function plain(name: string, seed: number, i: number): number {
  const mod = 2n ** 32n;
  let hash = 0x811c9dc5n;
  for (const byte of Buffer.from(name, "utf8")) hash = ((hash ^ BigInt(byte)) * 0x01000193n) % mod;
  let x = (BigInt(i) * 0x9e3779b9n + hash + BigInt(seed) * 0x85ebca6bn) % mod;
  x = ((x ^ (x >> 16n)) * 0x85ebca6bn) % mod;
  x = ((x ^ (x >> 13n)) * 0xc2b2ae35n) % mod;
  x ^= x >> 16n;
  return Number(x >> 8n) * 2 ** -23 - 1;
}

it("is the formula in plain arithmetic, at large indices and seeds too", () => {
  for (const [name, seed, start] of [
    ["a", 0, 0],
    ["décoder.model.2", 3003, 90_000_000],
    ["x", 0xffffffff, 2 ** 31 - 2],
  ] as const) {
    const values = weightsByFormula({ name, seed, offset: 0.25, scale: 0.3 }, start, 5);
    const expected = Array.from({ length: 5 }, (_, i) =>
      Math.fround(0.25 + 0.3 * plain(name, seed, start + i)),
    );
    expect([...values]).toEqual(expected);
  }
});

it("reads a list as a file of tensors, whole or in part", async () => {
  const list = { seed: 7, tensors: { w: { shape: [3, 4], offset: 1, scale: 2 } } };
  const file = openFormula(JSON.stringify(list), "tensors.json");
  expect(file.tensors.get("w")).toEqual({ name: "w", shape: [3, 4], dtype: "F32" });
  const whole = await file.read("w");
  expect(whole).toHaveLength(12);
  expect(await file.read("w", { start: 5, count: 4 })).toEqual(whole.slice(5, 9));
  await expect(file.read("w", { start: 9, count: 4 })).rejects.toThrow(
    "weight formula: tensors.json: w has 12 elements, 4 from 9 on were asked for",
  );
  await expect(file.read("toString")).rejects.toThrow("weight formula: tensors.json: has no tensor toString");
});

it("refuses what is no such list", () => {
  expect(() => openFormula("[", "tensors.json")).toThrow("weight formula: tensors.json: is not JSON");
  expect(() => openFormula('{"seed": -1, "tensors": {}}', "tensors.json")).toThrow("tensors.json: seed: ");
});

for (const set of ["a/mimi", "b/mimi_full"])
  describeWithFixture(set, ({ path, json }) => {
    it("makes the bytes that the list gives the digests of", async () => {
      const file = openFormula(readFileSync(`${path}tensors.json`, "utf8"), path);
      const { tensors } = json("tensors.json") as { tensors: Record<string, { sha256_16: string }> };
      // Up to a million elements each: the larger ones differ in nothing but their length. Sums and usages of centroids
      // that were never used are not by the formula alone.
      for (const { name, shape } of file.tensors.values()) {
        if (shape.reduce((product, dim) => product * dim, 1) > 1e5 || name.includes("_codebook")) continue;
        const digest = createHash("sha256")
          .update(await file.read(name))
          .digest("hex");
        expect(digest.slice(0, 16), name).toBe(tensors[name]!.sha256_16);
      }
    });
  });
