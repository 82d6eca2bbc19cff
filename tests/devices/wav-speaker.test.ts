import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readWav } from "../../devices/media/wav.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { WavSpeaker } from "../../devices/speaker/wav-speaker.ts";
import { RealClock, VirtualClock } from "../../src/core/clock.ts";
import type { Speech } from "../../src/core/device.ts";

const folder = mkdtempSync(join(tmpdir(), "microturn-speaker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RATE_HZ = 8000;

function constant(level: number, ms: number): Speech {
  return { sampleRateHz: RATE_HZ, samples: new Float32Array((ms / 1000) * RATE_HZ).fill(level) };
}

function setUp(name: string) {
  const clock = new VirtualClock();
  clock.start();
  const path = join(folder, name);
  return { clock, path, speaker: new WavSpeaker(path, clock) };
}

describe("WAV speaker", () => {
  test("writes WAV, and nothing else under another name", () => {
    for (const name of ["said.mp3", "clip.mp4"]) {
      const path = join(folder, name);
      expect(() => new WavSpeaker(path, new VirtualClock())).toThrow(
        `${name}: what is written is WAV. Name it PATH.wav`,
      );
      expect(existsSync(`${path}.part`)).toBe(false);
    }
    for (const name of ["LOUD.WAV", "said"]) {
      const path = join(folder, name);
      expect(new WavSpeaker(path, new VirtualClock()).name).toContain(path);
      rmSync(`${path}.part`);
    }
  });

  test("second s of the file is second s of the session: phrases, silence, cut and end", async () => {
    const { clock, path, speaker } = setUp("session.wav");
    await clock.sleepUntil(500);
    await speaker.play("one", constant(0.5, 250)).finished;
    await clock.sleepUntil(1000);
    const cut = speaker.play("two", constant(-0.25, 800));
    await clock.sleepUntil(1100);
    speaker.flush();
    expect(await cut.finished).toEqual({ text: "two", startMs: 1000, endMs: 1100, whole: false });
    await clock.sleepUntil(2000);
    expect(existsSync(path)).toBe(false);
    await speaker.close();

    expect(existsSync(`${path}.part`)).toBe(false);
    const bytes = readFileSync(path);
    // The head by hand: RIFF length, then data length, 2 s of 8 kHz in 16 bits.
    expect([bytes.readUInt32LE(4), bytes.readUInt32LE(40), bytes.length]).toEqual([32_036, 32_000, 32_044]);
    const { samples, sampleRateHz } = readWav("test", bytes);
    expect(sampleRateHz).toBe(RATE_HZ);
    const runs: [number, number, number][] = [];
    samples.forEach((sample, i) => {
      const run = runs.at(-1);
      if (run && run[2] === sample) run[1] = i + 1;
      else runs.push([i, i + 1, sample]);
    });
    const level = (value: number) => Math.round(value * 32767) / 32768;
    expect(runs).toEqual([
      [0, 4000, 0],
      [4000, 6000, level(0.5)],
      [6000, 8000, 0],
      [8000, 8800, level(-0.25)],
      [8800, 16_000, 0],
    ]);
  });

  test("a session in which nothing is said is a file of silence", async () => {
    const { clock, path, speaker } = setUp("silent.wav");
    await clock.sleepUntil(1000);
    await speaker.close();
    expect(readWav("test", readFileSync(path)).samples).toEqual(new Float32Array(22_050));
  });

  test("discarded, it leaves nothing", async () => {
    const { path, speaker } = setUp("discarded.wav");
    await speaker.play("one", constant(0.5, 100)).finished;
    await speaker.discard();
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([false, false]);
  });

  test("a full disk breaks the phrase and the end, and nothing half-written stays", async () => {
    const clock = new VirtualClock();
    clock.start();
    const path = join(folder, "full.wav");
    // Linux's device that is always full, in the place of the file.
    symlinkSync("/dev/full", `${path}.part`);
    const speaker = new WavSpeaker(path, clock);
    const full = {
      code: "output-failed",
      message: expect.stringMatching(/full\.wav .*ENOSPC.*the disk has room/),
    };
    await expect(speaker.play("one", constant(0.5, 100)).finished).rejects.toMatchObject(full);
    await expect(speaker.close()).rejects.toMatchObject(full);
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([false, false]);
  });

  test("a folder that is not there is reported before the session", () => {
    expect(() => new WavSpeaker(join(folder, "no", "out.wav"), new VirtualClock())).toThrow(
      expect.objectContaining({ code: "output-failed" }),
    );
  });
});

describe("null speaker", () => {
  test("in real time a flush silences it at once", async () => {
    const clock = new RealClock();
    clock.start();
    const speaker = new NullSpeaker(clock);
    const playback = speaker.play("long", constant(0.1, 2000));
    await playback.started;
    await clock.sleepUntil(60);
    const flushedMs = clock.nowMs();
    speaker.flush();
    const played = await playback.finished;
    expect(played.whole).toBe(false);
    expect(clock.nowMs() - flushedMs).toBeLessThan(50);
  });

  test("takes no phrase while more than 400 ms wait", async () => {
    const clock = new VirtualClock();
    clock.start();
    const speaker = new NullSpeaker(clock);
    const first = speaker.play("one", constant(0.1, 500));
    expect(() => speaker.play("two", constant(0.1, 100))).toThrow(
      /500 ms of sound wait, expected at most 400/,
    );
    await first.finished;
  });
});
