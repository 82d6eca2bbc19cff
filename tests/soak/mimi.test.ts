import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FRAME_SAMPLES } from "../../models/moshi/mimi/config.ts";
import { createMimi } from "../../models/moshi/mimi/mimi.ts";
import { openFormula } from "../../models/moshi/parity/weight-formula.ts";
import { describeOnGpu } from "../kernels/harness.ts";
import { describeWithFixture, expectWithin } from "../models/moshi/fixtures.ts";
import { checkFixture, deviation, frameOf, LIMIT, sound } from "../models/moshi/mimi/checks.ts";
import { randomTensors, SMALL } from "../models/moshi/mimi/random-mimi.ts";
import { MimiReference } from "../models/moshi/mimi/reference.ts";

/** MIMI_FRAMES=10000 for the full measure. */
const FRAMES = Number(process.env.MIMI_FRAMES ?? 2000);
/** Sound that comes round again. */
const PERIOD = 500;
/** The last frames that are compared. */
const CHECKED = [999, Math.floor(FRAMES / 2) - 1, FRAMES - 1];
/** Frames from one look at the memory to the next. */
const LOOK_EVERY = Math.ceil(FRAMES / 10);
/** Frames that the reference is given, and the last of them that are compared. */
const WINDOW = 40;
const COMPARED = 10;

/** Memory in use after a collection, where the run was given one (node --expose-gc), bytes. */
function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describeOnGpu("mimi, for long", (gpu) => {
  // Nothing older than 14 frames of the two layers' windows and 3 of the convolutions' has any effect, so that the last
  // frames of a window of 40 are what they are in the whole session: turned keys and queries know only their distance.
  test(`${FRAMES} frames: no drift from double precision, nothing allocated, memory as at first`, {
    timeout: 3_600_000,
  }, async () => {
    const tensors = randomTensors(SMALL, 1);
    const reference = new MimiReference(SMALL, tensors);
    const mimi = await createMimi(gpu, SMALL, tensors);
    const wav = sound(PERIOD);
    const samples = (t: number) => frameOf(wav, t % PERIOD);
    const toDecode = (t: number) =>
      Array.from({ length: mimi.nCodebooks }, (_, k) => (7 * t + 5 * k * k) % 24);
    /** What the reference makes of the frames up to `last`. */
    const windowUpTo = async (last: number) => {
      const frames = Array.from({ length: WINDOW }, (_, i) => last - WINDOW + 1 + i);
      const heard = new Float32Array(WINDOW * FRAME_SAMPLES);
      for (const [i, frame] of frames.entries()) heard.set(samples(frame), i * FRAME_SAMPLES);
      const spoken = await reference.decode(frames.map(toDecode));
      return { codes: (await reference.encode(heard)).codes, spoken, limit: LIMIT * deviation(spoken) };
    };
    const compared: { codes: Int32Array; pcm: Float32Array }[] = [];
    const memory: number[] = [];
    const created = new Set<string>();
    for (let t = 0; t < FRAMES; t++) {
      const [codes, pcm] = await Promise.all([
        mimi.encode(samples(t)),
        mimi.decode(Int32Array.from(toDecode(t))),
      ]);
      if (t % LOOK_EVERY === LOOK_EVERY - 1) {
        memory.push(memoryBytes());
        created.add(JSON.stringify(gpu.created));
      }
      compared.push({ codes, pcm });
      if (compared.length > COMPARED) compared.shift();
      if (!CHECKED.includes(t)) continue;
      const expected = await windowUpTo(t);
      for (const [i, actual] of compared.entries()) {
        const at = WINDOW - COMPARED + i;
        expect([...actual.codes], `frame ${t - COMPARED + 1 + i}`).toEqual(expected.codes[at]);
        expectWithin(actual.pcm, frameOf(expected.spoken, at), expected.limit);
      }
    }
    expect(created.size).toBe(1);
    const [early, late] = [Math.max(...memory.slice(0, 3)), Math.min(...memory.slice(-3))];
    expect(late).toBeLessThan(early + 4_000_000);
  });

  for (const set of ["a/mimi_full", "b/mimi_full"])
    describeWithFixture(set, (fixture) => {
      test("full size, weights made by formula: the original's latents, codes and sound", {
        timeout: 600_000,
      }, async () => {
        const list = readFileSync(`${fixture.path}tensors.json`, "utf8");
        await checkFixture(gpu, fixture, openFormula(list, fixture.path));
      });
    });
});
