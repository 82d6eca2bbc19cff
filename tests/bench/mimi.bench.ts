import { expect } from "vitest";
import { RELEASED_MIMI } from "../../models/moshi/mimi/config.ts";
import { createMimi } from "../../models/moshi/mimi/mimi.ts";
import { frameOf, sound } from "../models/moshi/mimi/checks.ts";
import { randomTensors } from "../models/moshi/mimi/random-mimi.ts";
import { benchOnGpu } from "./bench.ts";
import { measure, type Times } from "./measure.ts";

/** A frame lasts as long. */
const FRAME_MS = 80;

benchOnGpu("mimi, full size, f32", async (gpu) => {
  const mimi = await createMimi(gpu, RELEASED_MIMI, randomTensors(RELEASED_MIMI, 1), { nCodebooks: 8 });
  const wav = sound(20);
  let t = 0;
  let codes = await mimi.encode(frameOf(wav, t));
  expect((await mimi.decode(codes)).every(Number.isFinite)).toBe(true);
  const encode = await measure(1, async () => {
    codes = await mimi.encode(frameOf(wav, ++t % 20));
  });
  const decode = await measure(1, async () => {
    await mimi.decode(codes);
  });
  const line = (name: "encode" | "decode", { medianMs, p95Ms }: Times) =>
    `mimi ${name}, full size, f32, 8 codebooks: median ${medianMs.toFixed(2)} ms, p95 ${p95Ms.toFixed(2)} ms, ` +
    `real-time factor ${(medianMs / FRAME_MS).toFixed(2)}, ${mimi.nDispatches[name]} dispatches, ${gpu.adapter.name}\n`;
  process.stdout.write(line("encode", encode) + line("decode", decode));
});
