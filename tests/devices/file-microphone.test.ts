import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FileMicrophone } from "../../devices/microphone/file-microphone.ts";
import { clip, cutOff, drain, folder, lavfi } from "./clips.ts";

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** All samples of a file at 16 kHz; checks on the way that each chunk begins where the last one ended. */
async function samplesOf(path: string): Promise<Float32Array> {
  const chunks = (await drain(new FileMicrophone(path, 16_000))).flatMap((item) =>
    item.kind === "audio" ? [item] : [],
  );
  let count = 0;
  for (const chunk of chunks) {
    expect(chunk.captureMs).toBeCloseTo((count / 16_000) * 1000, 9);
    expect(chunk.sampleRateHz).toBe(16_000);
    count += chunk.samples.length;
  }
  return Float32Array.from(chunks.flatMap((chunk) => [...chunk.samples]));
}

/** Least-squares amplitude of a tone at `hz` in `samples` at 16 kHz. */
function amplitude(samples: Float32Array, hz: number): number {
  let [sine, cosine] = [0, 0];
  samples.forEach((sample, i) => {
    sine += sample * Math.sin((2 * Math.PI * hz * i) / 16_000);
    cosine += sample * Math.cos((2 * Math.PI * hz * i) / 16_000);
  });
  return (2 * Math.hypot(sine, cosine)) / samples.length;
}

test("a stereo WAV at 44.1 kHz comes as mono at the model's rate", async () => {
  const sides = "aevalsrc=0.4*sin(2*PI*440*t)|0.2*sin(2*PI*440*t):s=44100:d=2";
  const samples = await samplesOf(clip("stereo.wav", ...lavfi(sides)));
  expect(samples.length).toBe(32_000);
  expect(amplitude(samples.subarray(1600, 30_400), 440)).toBeCloseTo(0.3, 2);
  expect(amplitude(samples.subarray(1600, 30_400), 880)).toBeLessThan(0.003);
});

test("the sound of a video is a microphone too, in step with the pictures", async () => {
  // Sound that begins half a second after the pictures.
  const late = ["-itsoffset", "0.5", ...lavfi("aevalsrc=0.5:s=16000:d=1")];
  const path = clip("late.mkv", ...lavfi("testsrc=s=64x48:r=10:d=2"), ...late, "-c:a", "pcm_s16le");
  const samples = await samplesOf(path);
  const begins = samples.findIndex((sample) => sample > 0.25);
  expect(Math.abs(begins - 8000)).toBeLessThan(40);
});

test("a silent video holds no sound", async () => {
  const path = clip("silent.mp4", ...lavfi("testsrc=s=64x48:r=10:d=1"));
  await expect(drain(new FileMicrophone(path, 16_000))).rejects.toMatchObject({
    code: "invalid-media",
    message: expect.stringMatching(/^file microphone: .*holds no sound\. Leave --microphone out/),
  });
});

test("a missing file", async () => {
  const microphone = new FileMicrophone(join(folder, "nothing.wav"), 16_000);
  await expect(drain(microphone)).rejects.toMatchObject({ code: "missing-file" });
});

test("a sound file that was cut off gives what it has, then fails", async () => {
  const whole = clip("whole.mka", ...lavfi("sine=d=10"), "-c:a", "flac");
  let given = 0;
  const cut = drain(new FileMicrophone(cutOff(whole, 0.5), 16_000), (item) => {
    if (item.kind === "audio") given += item.samples.length;
  });
  await expect(cut).rejects.toMatchObject({
    code: "invalid-media",
    message: expect.stringContaining("ended early"),
  });
  expect(given).toBeGreaterThan(3 * 16_000);
});
