import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { readWav, wavHead } from "../../devices/media/wav.ts";
import { EspeakVoice } from "../../devices/voice/espeak-voice.ts";
import { FakeVoice, fakeSpeechMs } from "../../devices/voice/fake-voice.ts";

const never = new AbortController().signal;
const hasEspeak = spawnSync("espeak-ng", ["--version"]).status === 0;

/** A voice whose program is a line of shell. */
function shellVoice(line: string): EspeakVoice {
  return new EspeakVoice({ command: ["sh", "-c", line] });
}

describe("espeak voice", () => {
  test.skipIf(!hasEspeak)(
    "speaks a word in about a third of a second, without silence around it",
    async () => {
      const voice = new EspeakVoice();
      for (const word of ["7", "push", "down"]) {
        const { samples, sampleRateHz } = await voice.synthesize(word, never);
        const ms = (samples.length / sampleRateHz) * 1000;
        expect(ms, word).toBeGreaterThan(200);
        expect(ms, word).toBeLessThan(650);
        const loudAt = samples.findIndex((sample) => Math.abs(sample) > 0.02);
        expect((loudAt / sampleRateHz) * 1000).toBeLessThan(60);
      }
    },
  );

  test.skipIf(!hasEspeak)("text that looks like an option is spoken", async () => {
    const { samples } = await new EspeakVoice().synthesize("--help", never);
    expect(samples.length).toBeGreaterThan(4000);
  });

  test("another command gets the text on stdin and answers with a WAV", async () => {
    // 4 samples of 0x4040 after a head that announces no length, as a stream does.
    const head = wavHead(8000, 0x7fff_fff0).toString("base64");
    const voice = shellVoice(
      `grep -q '^hello you$' && printf '%s' '${head}' | base64 -d && printf '@@@@@@@@'`,
    );
    const { samples, sampleRateHz } = await voice.synthesize("hello you", never);
    expect(sampleRateHz).toBe(8000);
    expect(samples).toEqual(new Float32Array(4).fill(0x4040 / 32768));
  });

  test("a flush is done within 50 ms and ends the program", async () => {
    const pidFile = join(mkdtempSync(join(tmpdir(), "microturn-voice-")), "pid");
    const tookMs: number[] = [];
    // A busy machine may hold up any one of them.
    for (let attempt = 0; attempt < 5; attempt++) {
      const abort = new AbortController();
      const speaking = shellVoice(`echo $$ > ${pidFile}; exec sleep 30`).synthesize("hello", abort.signal);
      await vi.waitFor(() => expect(readFileSync(pidFile, "utf8")).toMatch(/\d+\n/), 20_000);
      const flushedMs = performance.now();
      abort.abort(new Error("flushed"));
      await expect(speaking).rejects.toThrow("flushed");
      tookMs.push(performance.now() - flushedMs);
      const pid = Number(readFileSync(pidFile, "utf8"));
      await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow("ESRCH"), 20_000);
      rmSync(pidFile);
    }
    expect(Math.min(...tookMs)).toBeLessThan(50);
  });

  test("a missing program says what to install", async () => {
    const voice = new EspeakVoice({ command: ["no-such-voice"] });
    await expect(voice.synthesize("hello", never)).rejects.toMatchObject({
      code: "missing-program",
      message: expect.stringMatching(/cannot start no-such-voice\. Install it/),
    });
  });

  test("a program that fails passes on its own words", async () => {
    await expect(
      shellVoice("echo no such language >&2; exit 3").synthesize("hello", never),
    ).rejects.toMatchObject({
      code: "device-unavailable",
      message: expect.stringContaining("no such language"),
    });
  });

  test("a program that answers anything but a WAV is refused", async () => {
    await expect(shellVoice("echo hello").synthesize("hello", never)).rejects.toMatchObject({
      code: "invalid-media",
    });
  });
});

describe("WAV reader", () => {
  test("skips chunks that it does not know, also of odd length", () => {
    const data = Buffer.from([0, 64, 0, 192]);
    const list = Buffer.from("LIST\x03\0\0\0abc\0", "latin1");
    const head = wavHead(16_000, data.length);
    const bytes = Buffer.concat([head.subarray(0, 36), list, head.subarray(36), data]);
    expect([...readWav("test", bytes).samples]).toEqual([0.5, -0.5]);
  });

  test("refuses stereo, and every cut of the head, without reading past its end", () => {
    const stereo = wavHead(16_000, 0);
    stereo.writeUInt16LE(2, 22);
    expect(() => readWav("test", stereo)).toThrow(/2 channels of 16 bits/);
    for (let length = 0; length < 44; length++) {
      expect(() => readWav("test", wavHead(16_000, 4).subarray(0, length))).toThrow(
        /expected a mono 16-bit WAV/,
      );
    }
  });
});

describe("fake voice", () => {
  test("lasts as its letters say, a digit as a word of five", async () => {
    expect([fakeSpeechMs("hello"), fakeSpeechMs("7"), fakeSpeechMs("12"), fakeSpeechMs(" go  on ")]).toEqual([
      350, 350, 600, 400,
    ]);
    const { samples, sampleRateHz } = await new FakeVoice().synthesize("go on", never);
    expect(samples.length).toBe(0.4 * sampleRateHz);
    expect(Math.max(...samples)).toBeCloseTo(0.2, 2);
  });
});
