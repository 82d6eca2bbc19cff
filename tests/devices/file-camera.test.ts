import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FileCamera } from "../../devices/camera/file-camera.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";
import { clip, cutOff, drain, folder, lavfi, probedTimesMs } from "./clips.ts";

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function framesOf(path: string): Promise<VideoFrame[]> {
  return (await drain(new FileCamera(path))).flatMap((item) => (item.kind === "frame" ? [item] : []));
}

/** Times of `frames` against what ffprobe says of the file, to the 90 kHz tick. */
function expectProbedTimes(frames: readonly VideoFrame[], path: string): void {
  const probed = probedTimesMs(path);
  const first = probed[0]!;
  expect(frames.length).toBe(probed.length);
  const worst = Math.max(...frames.map((frame, i) => Math.abs(frame.captureMs - (probed[i]! - first))));
  expect(worst).toBeLessThan(0.02);
}

function pixel(frame: VideoFrame, x: number, y: number): number[] {
  return [...frame.rgb.subarray(3 * (y * frame.width + x), 3 * (y * frame.width + x) + 3)];
}

describe("frame rates and containers", () => {
  test.each([
    ["7", "mp4"],
    ["24000/1001", "mkv"],
    ["30", "avi"],
    ["60", "webm"],
  ])("%s frames a second in %s: each frame at its own time", async (rate, container) => {
    const codec =
      container === "avi"
        ? ["-c:v", "mjpeg"]
        : container === "webm"
          ? ["-c:v", "vp8", "-deadline", "realtime", "-cpu-used", "8"]
          : [];
    const path = clip(`rate.${container}`, ...lavfi(`testsrc=s=64x48:r=${rate}:d=2`), ...codec);
    const frames = await framesOf(path);
    expectProbedTimes(frames, path);
    expect(frames[0]).toMatchObject({ captureMs: 0, width: 64, height: 48 });
    expect(frames.every((frame) => frame.rgb.length === 64 * 48 * 3)).toBe(true);
  });

  test("a variable frame rate is kept as it is", async () => {
    // Of 30 frames a second only those whose number is a square or a multiple of 7.
    const chosen = "select='eq(mod(n,7),0)+eq(n,1)+eq(n,4)+eq(n,9)+eq(n,16)+eq(n,25)'";
    const path = clip("vfr.mkv", ...lavfi("testsrc=s=96x64:r=30:d=3"), "-vf", chosen, "-vsync", "vfr");
    const frames = await framesOf(path);
    expectProbedTimes(frames, path);
    const gaps = new Set(
      frames.slice(1).map((frame, i) => Math.round(frame.captureMs - frames[i]!.captureMs)),
    );
    expect(gaps.size).toBeGreaterThan(3);
  });
});

describe("what a frame shows", () => {
  test("pixels belong to their frame: each is as bright as its number says", async () => {
    const path = clip(
      "bright.mkv",
      ...lavfi("nullsrc=s=64x48:r=25:d=2,format=gray,geq=lum='4*N'"),
      ...["-c:v", "ffv1"],
    );
    const frames = await framesOf(path);
    expect(frames.map((frame) => pixel(frame, 32, 24)[0])).toEqual(frames.map((_, n) => 4 * n));
  });

  test("a large picture comes with 320 pixels on its longer side, its shape kept", async () => {
    const wide = await framesOf(clip("wide.mp4", ...lavfi("testsrc=s=1280x720:r=5:d=0.4"), "-c:v", "mpeg4"));
    expect([wide[0]!.width, wide[0]!.height]).toEqual([320, 180]);
    const tall = await framesOf(clip("tall.mp4", ...lavfi("testsrc=s=480x854:r=5:d=0.4"), "-c:v", "mpeg4"));
    expect([tall[0]!.width, tall[0]!.height]).toEqual([180, 320]);
  });

  test("a picture marked as turned is shown upright", async () => {
    const plain = clip(
      "plain.mp4",
      ...lavfi("color=red:s=64x32:r=5:d=1,drawbox=x=32:w=32:color=blue:t=fill"),
    );
    const turned = clip("turned.mp4", "-i", plain, "-c", "copy", "-metadata:s:v", "rotate=90");
    const frame = (await framesOf(turned))[0]!;
    expect([frame.width, frame.height]).toEqual([32, 64]);
    const [top, bottom] = [pixel(frame, 16, 5), pixel(frame, 16, 58)];
    // The two colours lie above each other now.
    expect(Math.abs(top[0]! - bottom[0]!)).toBeGreaterThan(150);
    expect(Math.abs(top[2]! - bottom[2]!)).toBeGreaterThan(150);
  });

  test("pixels that are not square are made so", async () => {
    const path = clip("anamorphic.mp4", ...lavfi("testsrc=s=160x120:r=5:d=0.4"), "-vf", "setsar=2/1");
    const frame = (await framesOf(path))[0]!;
    expect([frame.width, frame.height]).toEqual([320, 120]);
  });

  test("a stream that changes its size in the middle keeps the first one's, edged with black", async () => {
    const parts = ["160x120", "120x160"].map((size, n) =>
      clip(`part${n}.ts`, ...lavfi(`color=white:s=${size}:r=10:d=1`), "-c:v", "mpeg2video"),
    );
    const path = clip("changes.ts", "-i", `concat:${parts.join("|")}`, "-c", "copy");
    const frames = await framesOf(path);
    expect(frames.length).toBeGreaterThanOrEqual(19);
    expect(frames.every((frame) => frame.width === 160 && frame.rgb.length === 160 * 120 * 3)).toBe(true);
    const last = frames.at(-1)!;
    expect(pixel(last, 5, 60)[0]!).toBeLessThan(30);
    expect(pixel(last, 80, 60)[0]!).toBeGreaterThan(220);
  });
});

describe("files that are not as they should be", () => {
  test("a missing file", async () => {
    const camera = new FileCamera(join(folder, "nowhere.mp4"));
    await expect(drain(camera)).rejects.toMatchObject({
      code: "missing-file",
      message: expect.stringMatching(/^file camera: .*nowhere\.mp4 is not a file\. /),
    });
  });

  test("bytes that are no video", async () => {
    const path = join(folder, "text.mp4");
    writeFileSync(path, "this is not a video ".repeat(500));
    await expect(drain(new FileCamera(path))).rejects.toMatchObject({
      code: "invalid-media",
      message: expect.stringContaining("cannot be read as video or sound"),
    });
  });

  test("sound alone", async () => {
    const path = clip("sound.wav", ...lavfi("sine=d=1"));
    await expect(drain(new FileCamera(path))).rejects.toMatchObject({
      code: "invalid-media",
      message: expect.stringContaining("holds no video stream"),
    });
  });

  test("no frames", async () => {
    const path = clip("empty.avi", ...lavfi("testsrc=s=64x48:r=5:d=1"), "-frames:v", "0", "-c:v", "mjpeg");
    await expect(drain(new FileCamera(path))).rejects.toMatchObject({ code: "invalid-media" });
  });

  test.each(["mp4", "mkv"])(
    "an %s file that was cut off gives what it has, then says where it ended",
    async (kind) => {
      const whole = clip(
        `long.${kind}`,
        ...lavfi("testsrc2=s=160x120:r=25:d=8"),
        "-c:v",
        "mpeg4",
        "-movflags",
        "+faststart",
      );
      let given = 0;
      const cut = drain(new FileCamera(cutOff(whole, 0.6)), (_, count) => {
        given = count;
      });
      await expect(cut).rejects.toMatchObject({
        code: "invalid-media",
        message: expect.stringMatching(/ended early, after [3-6]\.\d s of 8\.\d s \(.+\)\. /),
      });
      expect(given).toBeGreaterThan(60);
    },
  );

  test("an mp4 without its index", async () => {
    const path = cutOff(clip("index.mp4", ...lavfi("testsrc=s=64x48:r=25:d=2")), 0.5);
    await expect(drain(new FileCamera(path))).rejects.toMatchObject({ code: "invalid-media" });
  });
});

test("frames that are not taken hold ffmpeg up, and leaving ends it", async () => {
  const path = clip("minute.mp4", ...lavfi("testsrc=s=320x240:r=25:d=20"), "-c:v", "mpeg4");
  const abort = new AbortController();
  const frames = new FileCamera(path).open(new VirtualClock(), abort.signal);
  const before = process.memoryUsage().arrayBuffers;
  await frames.next();
  await new Promise((resolve) => setTimeout(resolve, 300));
  // 500 frames of 230 kB would be 115 MB; four are read ahead, and the pipe holds some.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  abort.abort();
  while (!(await frames.next()).done);
});
