import { describe, expect, it } from "vitest";
import {
  guidedLogitsReference,
  sampleTokenReference,
} from "../../kernels/sample-token/sample-token.reference.ts";
import {
  createSampleToken,
  NOT_FORCED,
  type SampleTokenSpec,
} from "../../kernels/sample-token/sample-token.ts";
import { packRows } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { record } from "../../src/gpu/plan.ts";
import { describeOnGpu, expectClose, gaussian, input, output, readBack, run, step } from "./harness.ts";

describe("sample-token reference", () => {
  it("mixes and hands on as worked by hand", () => {
    expect([...guidedLogitsReference([1, 2], [3, 1], 3)]).toEqual([3 + -2 * 3, 1 + 1 * 3]);
    const greedy = { temperature: 0, topK: 0, seed: 1 };
    expect(sampleTokenReference([1, 3, 3], greedy, 0, NOT_FORCED)).toEqual({ sampled: 1, handed: 1 });
    expect(sampleTokenReference([1, 3, 3], greedy, 0, -1)).toEqual({ sampled: 1, handed: -1 });
  });
});

const SLOTS = 5;

interface Case {
  logits: Float32Array;
  temperature?: number;
  topK?: number;
  seed?: number;
  position?: number;
  slot?: number;
  forced?: number;
  coefficient?: number;
  bonus?: { token: number; logit: number };
  workgroupSize?: number;
}

describeOnGpu("sample-token", (gpu) => {
  async function draw(c: Case) {
    const cols = c.coefficient === undefined ? c.logits.length : c.logits.length / 2;
    const slot = c.slot ?? 2;
    const logits = output(gpu, "logits", c.logits.length, c.logits);
    const before = Int32Array.from({ length: SLOTS }, (_, i) => 1000 + i);
    const sampled = output(gpu, "sampled", SLOTS, before);
    const handed = output(gpu, "handed", SLOTS, before);
    const forced = new Int32Array(SLOTS).fill(77);
    forced[slot] = c.forced ?? NOT_FORCED;
    const position = c.position ?? 9;
    const kernel = await createSampleToken(gpu, {
      label: "sample",
      cols,
      logits: logits.view,
      ...(c.coefficient === undefined ? {} : { guidance: { coefficient: c.coefficient } }),
      rows: input(gpu, "rows", packRows([{ position, cacheSlot: 0, kind: 0, index: 0 }])),
      slot,
      slots: SLOTS,
      sampling: { temperature: c.temperature ?? 0, topK: c.topK ?? 0 },
      seed: c.seed ?? 7,
      forced: input(gpu, "forced", forced),
      sampled: sampled.view,
      handed: handed.view,
      step: step(gpu, 1),
      ...(c.bonus ? { bonus: c.bonus } : {}),
      ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
    });
    await run(gpu, [kernel], 1);
    const after = [...new Int32Array((await sampled.u32()).buffer)];
    const handedOn = [...new Int32Array((await handed.u32()).buffer)];
    // The places of other draws stay as they are.
    const others = [...before].filter((_, i) => i !== slot);
    expect(after.filter((_, i) => i !== slot)).toEqual(others);
    expect(handedOn.filter((_, i) => i !== slot)).toEqual(others);
    return { sampled: after[slot]!, handed: handedOn[slot]!, logits: await logits.f32() };
  }

  async function check(c: Case): Promise<void> {
    const { sampled, handed } = await draw(c);
    const sampling = { temperature: c.temperature ?? 0, topK: c.topK ?? 0, seed: c.seed ?? 7 };
    const nth = (c.position ?? 9) * SLOTS + (c.slot ?? 2);
    expect({ sampled, handed }).toEqual(
      sampleTokenReference(c.logits, sampling, nth, c.forced ?? NOT_FORCED, c.bonus),
    );
  }

  for (const workgroupSize of [4, 64, 256]) {
    it(`agrees with the reference: ${workgroupSize} threads`, async () => {
      for (const length of [1, workgroupSize - 1, workgroupSize, workgroupSize + 1, 2048]) {
        const logits = gaussian(length, length, 3);
        await check({ logits, workgroupSize });
        await check({ logits, workgroupSize, temperature: 0.8 });
        await check({ logits, workgroupSize, temperature: 0.8, topK: Math.ceil(length / 8) });
      }
    });
  }

  it("gives a tie to the lower token", async () => {
    const logits = new Float32Array(300).fill(-2);
    for (const token of [299, 130, 131, 66]) logits[token] = 1.5;
    expect((await draw({ logits })).sampled).toBe(66);
    expect((await draw({ logits: new Float32Array(300) })).sampled).toBe(0);
  });

  it("keeps to the top k, of large, small and negative logits", async () => {
    for (const scale of [1e-30, 1, 1e30]) {
      const logits = gaussian(5, 700, scale);
      for (const topK of [1, 2, 25, 250, 699, 700, 5000])
        await check({ logits, temperature: 0.9 * scale, topK, position: topK });
    }
    const flat = new Float32Array(100).fill(-1);
    flat[40] = 3;
    // The second largest is a tie of 99: none of them is left out.
    await check({ logits: flat, temperature: 4, topK: 2 });
  });

  it("depends on seed, frame and slot", async () => {
    const logits = new Float32Array(4096);
    const first = (await draw({ logits, temperature: 1 })).sampled;
    for (const change of [{ seed: 8 }, { position: 10 }, { slot: 3 }]) {
      await check({ logits, temperature: 1, ...change });
      expect((await draw({ logits, temperature: 1, ...change })).sampled).not.toBe(first);
    }
    expect((await draw({ logits, temperature: 1 })).sampled).toBe(first);
  });

  it("hands a forced token on and still says what it drew", async () => {
    const logits = gaussian(1, 90);
    for (const forced of [-1, 0, 89, 123_456]) await check({ logits, forced });
  });

  it("raises one token, and keeps its logit as it was", async () => {
    const logits = gaussian(2, 200, 0.1);
    for (const logit of [0, 0.5, 9, -9]) {
      for (const token of [0, 3, 199]) {
        for (const temperature of [0, 0.7])
          await check({ logits, temperature, topK: 20, bonus: { token, logit } });
      }
    }
    const raised = await draw({ logits, bonus: { token: 3, logit: 9 } });
    expect(raised.sampled).toBe(3);
    expectClose(raised.logits, logits, { absolute: 0 });
  });

  it("draws otherwise from then on when it is told, and makes nothing for that", async () => {
    const logits = gaussian(6, 500);
    const sampled = createBuffer(gpu, { label: "sampled", sizeBytes: 16 });
    const kernel = await createSampleToken(gpu, {
      label: "sample",
      cols: 500,
      logits: input(gpu, "logits", logits),
      rows: input(gpu, "rows", packRows([{ position: 4, cacheSlot: 0, kind: 0, index: 0 }])),
      slot: 0,
      slots: 1,
      sampling: { temperature: 0, topK: 0 },
      seed: 1,
      bonus: { token: 3, logit: 50 },
      forced: input(gpu, "forced", Int32Array.of(NOT_FORCED)),
      sampled,
      handed: createBuffer(gpu, { label: "handed", sizeBytes: 16 }),
      step: step(gpu, 1),
    });
    const drawn = async () => {
      await run(gpu, [kernel], 1);
      return new Int32Array(await readBack(gpu, sampled))[0];
    };
    expect(await drawn()).toBe(3);
    const before = { ...gpu.created };
    for (const seed of [1, 2, 3]) {
      const draw = { sampling: { temperature: 1.3, topK: 400 }, seed };
      kernel.drawAs(draw);
      expect(await drawn()).toBe(
        sampleTokenReference(logits, { ...draw.sampling, seed }, 4, NOT_FORCED).sampled,
      );
    }
    // Only what is read back is made anew.
    expect(gpu.created.bindGroups).toBe(before.bindGroups);
    expect(gpu.created.pipelines).toBe(before.pipelines);
    expect(() => kernel.drawAs({ sampling: { temperature: Number.NaN, topK: 0 }, seed: 1 })).toThrow(
      "temperature NaN",
    );
  });

  it("mixes two rows by the coefficient", async () => {
    const cols = 333;
    const logits = gaussian(4, 2 * cols, 2);
    for (const coefficient of [0, 1, 3, 1.5]) {
      const mixed = guidedLogitsReference(logits.subarray(0, cols), logits.subarray(cols), coefficient);
      for (const temperature of [0, 0.7]) {
        const drawn = await draw({ logits, coefficient, temperature, topK: 25 });
        expectClose(drawn.logits.subarray(0, cols), mixed, { absolute: 3e-6 });
        expectClose(drawn.logits.subarray(cols), logits.subarray(cols), { absolute: 0 });
        const sampling = { temperature, topK: 25, seed: 7 };
        expect(drawn.sampled).toBe(sampleTokenReference(mixed, sampling, 9 * SLOTS + 2, NOT_FORCED).sampled);
      }
    }
  });

  it("passes over what is not a number, and says so where nothing is", async () => {
    const logits = gaussian(3, 70);
    logits[5] = Number.NaN;
    logits[69] = Number.NaN;
    await check({ logits });
    await check({ logits, temperature: 1, topK: 10 });
    expect((await draw({ logits: new Float32Array(70).fill(Number.NaN) })).sampled).toBe(-1);
  });

  it("draws each token as often as the softmax of the top k says", async () => {
    const cols = 12;
    const frames = 8000;
    const topK = 9;
    const temperature = 0.8;
    const logits = gaussian(11, cols);
    // One dispatch a frame, each with a row of its own; what they draw is gathered in one submission.
    const all = createBuffer(gpu, { label: "all", sizeBytes: frames * 4 });
    const spec = (rows: SampleTokenSpec["rows"]): SampleTokenSpec => ({
      label: "sample",
      cols,
      logits: input(gpu, "logits", logits),
      rows,
      slot: 0,
      slots: 1,
      sampling: { temperature, topK },
      seed: 3,
      forced: input(gpu, "forced", Int32Array.of(NOT_FORCED)),
      sampled: createBuffer(gpu, { label: "sampled", sizeBytes: 16 }),
      handed: createBuffer(gpu, { label: "handed", sizeBytes: 16 }),
      step: step(gpu, 1),
    });
    const row = createBuffer(gpu, { label: "row", sizeBytes: 16 });
    const rows = input(
      gpu,
      "rows",
      Uint32Array.from({ length: frames * 4 }, (_, i) => (i % 4 === 0 ? i / 4 : 0)),
    );
    const here = spec(row);
    const kernel = await createSampleToken(gpu, here);
    const encoder = gpu.device.createCommandEncoder();
    for (let frame = 0; frame < frames; frame++) {
      encoder.copyBufferToBuffer(rows.buffer, frame * 16, row.buffer, 0, 16);
      const pass = encoder.beginComputePass();
      record(pass, [kernel], 1);
      pass.end();
      encoder.copyBufferToBuffer(here.sampled.buffer, 0, all.buffer, frame * 4, 4);
    }
    gpu.device.queue.submit([encoder.finish()]);
    const counts = new Float64Array(cols);
    for (const token of new Int32Array(await readBack(gpu, all))) counts[token]!++;

    const kept = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, topK);
    const total = kept.reduce((sum, token) => sum + Math.exp(logits[token]! / temperature), 0);
    let chiSquare = 0;
    for (const token of kept) {
      const mean = (frames * Math.exp(logits[token]! / temperature)) / total;
      chiSquare += (counts[token]! - mean) ** 2 / mean;
      counts[token] = 0;
    }
    expect(Math.max(...counts)).toBe(0);
    // 8 degrees of freedom: above 26.1 once in a thousand seeds.
    expect(chiSquare).toBeLessThan(26.1);
  });

  it("refuses what does not fit", async () => {
    const view = createBuffer(gpu, { label: "any", sizeBytes: 16 });
    const others = { rows: view, forced: view, sampled: view, handed: view, step: view };
    const spec = { ...others, label: "sample", cols: 4, logits: view, slot: 0, slots: 1, seed: 0 };
    const sampling = { temperature: 0, topK: 0 };
    await expect(createSampleToken(gpu, { ...spec, sampling, cols: 9 })).rejects.toThrow(
      "logits hold 4 elements, expected 1 rows of 9",
    );
    await expect(createSampleToken(gpu, { ...spec, sampling, guidance: { coefficient: 3 } })).rejects.toThrow(
      "logits hold 4 elements, expected 2 rows of 4",
    );
    await expect(createSampleToken(gpu, { ...spec, sampling: { temperature: -1, topK: 0 } })).rejects.toThrow(
      "temperature -1",
    );
  });
});
