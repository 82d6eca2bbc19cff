import { expect, it } from "vitest";
import { attentionDispatches } from "../../../../kernels/attention/attention.ts";
import { codecCost } from "../../../../models/moshi/codec-cost.ts";
import type { MimiConfig } from "../../../../models/moshi/mimi/config.ts";
import { createMimi } from "../../../../models/moshi/mimi/mimi.ts";
import { openSafetensors } from "../../../../models/tensors/safetensors.ts";
import { createBuffer, uploadBuffer, writeBuffer } from "../../../../src/gpu/buffers.ts";
import { type Gpu, openGpu } from "../../../../src/gpu/device.ts";
import { describeOnGpu, integers, readBack } from "../../../kernels/harness.ts";
import { describeWithFixture, expectWithin } from "../fixtures.ts";
import { checkFixture, deviation, frameOf, LIMIT, latentOf, sound } from "./checks.ts";
import { ODD, randomTensors, SMALL } from "./random-mimi.ts";
import { MimiReference } from "./reference.ts";

describeOnGpu("mimi", (gpu) => {
  for (const set of ["a/mimi", "b/mimi"])
    describeWithFixture(set, (fixture) => {
      it("gives the original's latents, codes and sound", async () => {
        await checkFixture(gpu, fixture, await openSafetensors(`${fixture.path}model.safetensors`));
      });
    });

  /** Streams `frames` frames and compares with the whole signal in double precision. */
  async function checkRandom(device: Gpu, config: MimiConfig, frames: number): Promise<void> {
    const tensors = randomTensors(config, 1);
    const wav = sound(frames);
    const reference = new MimiReference(config, tensors);
    const { latents, codes } = await reference.encode(wav);
    const pcm = await reference.decode(codes);
    const [latentLimit, pcmLimit] = [LIMIT * deviation(latents), LIMIT * deviation(pcm)];
    const mimi = await createMimi(device, config, tensors);
    const created = { ...device.created };
    const { dim } = config.transformer;
    let different = 0;
    for (let t = 0; t < frames; t++) {
      const actual = await mimi.encode(frameOf(wav, t));
      expectWithin(await latentOf(device, mimi), latents.subarray(t * dim, (t + 1) * dim), latentLimit);
      if (actual.join() !== codes[t]!.join()) different++;
      expectWithin(await mimi.decode(Int32Array.from(codes[t]!)), frameOf(pcm, t), pcmLimit);
    }
    // Distances of random centroids come as near as f32 tells them apart once in some 100 000 searches.
    expect(different).toBeLessThanOrEqual(Math.ceil(frames / 1000));
    // Each reading of the latent made one buffer, the codec none.
    expect(device.created).toEqual({ ...created, buffers: created.buffers + frames });
  }

  it(
    "streams 200 frames as the whole signal in double precision, and makes nothing for them",
    {
      timeout: 300_000,
    },
    () => checkRandom(gpu, SMALL, 200),
  );

  it("streams other shapes: more positions a frame, odd contexts, dilations", () =>
    checkRandom(gpu, ODD, 12));

  it("gives the same without optional features", { timeout: 300_000 }, async () => {
    const plain = await openGpu({ features: [] });
    await checkRandom(plain, SMALL, 10);
    plain.close();
  });

  it("counts its dispatches: 8 a transformer layer, 2 a residual block, 1 a codebook", async () => {
    const mimi = await createMimi(gpu, SMALL, randomTensors(SMALL, 1));
    const seanet = 1 + 4 * (2 + 1) + 1;
    expect(mimi.nDispatches).toEqual({
      encode: seanet + 2 * 8 + 2 + 5,
      decode: 2 + 2 * 8 + seanet,
    });
    const { encode, decode } = mimi.nDispatches;
    const use = { encodes: true, decodes: true, nCodebooks: SMALL.nCodebooksUsed };
    const reckoned = codecCost(use, (shape) => attentionDispatches(gpu, shape), SMALL);
    expect(reckoned.dispatches).toBe(encode + decode);
  });

  it("begins anew after a reset, to the bit", async () => {
    const mimi = await createMimi(gpu, SMALL, randomTensors(SMALL, 1));
    const wav = sound(9);
    const session = async () => {
      const out: (Int32Array | Float32Array)[] = [];
      for (let t = 0; t < 9; t++) {
        const codes = await mimi.encode(frameOf(wav, t));
        out.push(codes, await latentOf(gpu, mimi), await mimi.decode(codes));
      }
      return out;
    };
    const first = await session();
    await mimi.reset();
    expect(await session()).toEqual(first);
    // Without the reset it goes on, and the same sound comes out otherwise.
    expect(await session()).not.toEqual(first);
  });

  it("goes through both directions side by side", async () => {
    const tensors = randomTensors(SMALL, 1);
    const wav = sound(6);
    const apart = await createMimi(gpu, SMALL, tensors);
    const codes: Int32Array[] = [];
    for (let t = 0; t < 6; t++) codes.push(await apart.encode(frameOf(wav, t)));
    const pcm: Float32Array[] = [];
    for (let t = 0; t < 6; t++) pcm.push(await apart.decode(codes[t]!));

    const together = await createMimi(gpu, SMALL, tensors);
    let pending = together.encode(frameOf(wav, 0));
    for (let t = 0; t < 6; t++) {
      const now = await pending;
      const decoded = together.decode(now);
      if (t < 5) pending = together.encode(frameOf(wav, t + 1));
      expect(now).toEqual(codes[t]);
      expect(await decoded).toEqual(pcm[t]);
    }
  });

  it("refuses a fourth frame while three are under way, and goes on where it stood", async () => {
    const mimi = await createMimi(gpu, SMALL, randomTensors(SMALL, 1));
    const wav = sound(4);
    const expected: Int32Array[] = [];
    for (let t = 0; t < 4; t++) expected.push(await mimi.encode(frameOf(wav, t)));
    await mimi.reset();
    const three = [0, 1, 2].map((t) => mimi.encode(frameOf(wav, t)));
    await expect(mimi.encode(frameOf(wav, 3))).rejects.toMatchObject({ code: "queue-full" });
    expect(await Promise.all(three)).toEqual(expected.slice(0, 3));
    expect(await mimi.encode(frameOf(wav, 3))).toEqual(expected[3]);
  });

  it("decodes codes that are on the device, in one stream with those of the host", async () => {
    const tensors = randomTensors(SMALL, 1);
    const codes = Array.from({ length: 8 }, (_, t) => Int32Array.from(integers(t, 4, SMALL.quantizer.bins)));
    const host = await createMimi(gpu, SMALL, tensors);
    const device = await createMimi(gpu, SMALL, tensors);
    const tokens = createBuffer(gpu, { label: "tokens", sizeBytes: 32 });
    const recorded = await device.decodeFrom(tokens, { first: 3, count: 4 });
    for (const [t, frame] of codes.entries()) {
      const expected = await host.decode(frame);
      if (t % 3 === 2) {
        expect(await device.decode(frame)).toEqual(expected);
        continue;
      }
      writeBuffer(gpu, tokens, Int32Array.of(1, -1, 99, ...frame, 5));
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      recorded.record(pass);
      pass.end();
      gpu.device.queue.submit([encoder.finish()]);
      expect(new Float32Array(await readBack(gpu, recorded.pcm))).toEqual(expected);
    }
  });

  it("uses as many codebooks as it is told", async () => {
    const tensors = randomTensors(SMALL, 1);
    const five = await createMimi(gpu, SMALL, tensors);
    const wav = sound(3);
    for (const nCodebooks of [1, 2, 6]) {
      const some = await createMimi(gpu, SMALL, tensors, { nCodebooks });
      await five.reset();
      for (let t = 0; t < 3; t++) {
        const [all, few] = [await five.encode(frameOf(wav, t)), await some.encode(frameOf(wav, t))];
        expect(few).toHaveLength(nCodebooks);
        const shared = Math.min(5, nCodebooks);
        expect(few.subarray(0, shared)).toEqual(all.subarray(0, shared));
      }
    }
    // Fewer codes than codebooks sound as the reference says.
    const codes = [[3], [7]];
    const pcm = await new MimiReference(SMALL, tensors).decode(codes);
    for (const [t, frame] of codes.entries())
      expectWithin(await five.decode(Int32Array.from(frame)), frameOf(pcm, t), LIMIT * deviation(pcm));
  });

  it("names what it cannot take, and stays as it was", async () => {
    const mimi = await createMimi(gpu, SMALL, randomTensors(SMALL, 1));
    const wav = sound(2);
    const first = await mimi.encode(frameOf(wav, 0));
    const broken = frameOf(wav, 1).slice();
    broken[7] = Number.NaN;
    await expect(mimi.encode(broken)).rejects.toThrow("mimi: pcm holds a sample that is not a finite number");
    await expect(mimi.encode(wav)).rejects.toThrow("mimi: pcm holds 3840 elements, expected 1920");
    await expect(mimi.decode(Int32Array.of(3, 24))).rejects.toThrow("mimi: code 24 is outside [0, 24)");
    await expect(mimi.decode(Int32Array.of(-1))).rejects.toThrow("mimi: code -1 is outside [0, 24)");
    await expect(mimi.decode(new Int32Array(6))).rejects.toThrow(
      "mimi: the number of codes is 6, expected 1 to 5",
    );
    const tokens = uploadBuffer(gpu, { label: "tokens" }, new Uint32Array(4));
    await expect(mimi.decodeFrom(tokens, { first: 2, count: 3 })).rejects.toThrow(
      "mimi: codes 2 to 4 lie outside a buffer of 4",
    );
    const second = await mimi.encode(frameOf(wav, 1));
    await mimi.reset();
    expect(await mimi.encode(frameOf(wav, 0))).toEqual(first);
    expect(await mimi.encode(frameOf(wav, 1))).toEqual(second);
    await mimi.close();
    await expect(mimi.encode(frameOf(wav, 0))).rejects.toThrow("mimi: was used after it was closed");
  });

  it("names a tensor that is missing or has another shape, and codebooks that are not there", async () => {
    const tensors = randomTensors(SMALL, 1);
    const wider = { ...SMALL, transformer: { ...SMALL.transformer, ffDim: 36 } };
    await expect(createMimi(gpu, wider, tensors)).rejects.toThrow(
      "mimi: random mimi: encoder_transformer.transformer.layers.0.linear1.weight is 32 x 16, expected 36 x 16",
    );
    const deeper = { ...SMALL, transformer: { ...SMALL.transformer, nLayers: 3 } };
    await expect(createMimi(gpu, deeper, tensors)).rejects.toThrow(
      "random mimi: has no tensor encoder_transformer.transformer.layers.2",
    );
    await expect(createMimi(gpu, SMALL, tensors, { nCodebooks: 7 })).rejects.toThrow(
      "mimi: nCodebooks is 7, expected 1 to 6",
    );
  });

  it("reports a lost device as such", async () => {
    const doomed = await openGpu();
    const mimi = await createMimi(doomed, SMALL, randomTensors(SMALL, 1));
    doomed.close();
    await expect(mimi.encode(sound(1))).rejects.toMatchObject({ code: "gpu-device-lost" });
    await expect(mimi.decode(Int32Array.of(1))).rejects.toMatchObject({ code: "gpu-device-lost" });
  });
});
