import sharp from "sharp";
import { expect, test } from "vitest";
import { encodeStill } from "../../devices/camera/still.ts";

/** Noise, which no JPEG makes small. */
function noise(width: number, height: number) {
  let state = 1;
  const rgb = Uint8Array.from({ length: 3 * width * height }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  return { captureMs: 0, width, height, rgb };
}

test("a large picture is brought to 640 pixels, its shape kept, within the bytes allowed", async () => {
  const { jpeg, width, height } = await encodeStill(noise(1280, 720), 112_500);
  expect([width, height]).toEqual([640, 360]);
  expect(jpeg.length).toBeLessThanOrEqual(112_500);
  expect(await sharp(jpeg).metadata()).toMatchObject({ format: "jpeg", width: 640, height: 360 });
});

test("a small one stays as large as it is, with its colours", async () => {
  const rgb = new Uint8Array(3 * 32 * 32).map((_, i) => [200, 100, 50][i % 3]!);
  const { jpeg, width, height } = await encodeStill({ captureMs: 0, width: 32, height: 32, rgb }, 10_000);
  expect([width, height]).toEqual([32, 32]);
  const { data } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  for (const [i, colour] of [200, 100, 50].entries()) expect(Math.abs(data[i]! - colour)).toBeLessThan(8);
});

test("one that cannot be made so small is refused", async () => {
  await expect(encodeStill(noise(640, 640), 1000)).rejects.toMatchObject({ code: "invalid-media" });
});
