import { spawnSync } from "node:child_process";
import { describe, expect, test, vi } from "vitest";
import { gstCommand, takenSize, v4l2Command } from "../../../devices/camera/camera-commands.ts";
import { oriented } from "../../../devices/camera/orientation.ts";
import { chooseMode, parseModes } from "../../../devices/camera/v4l2-modes.ts";
import { cameraFrom } from "../../../devices/devices.ts";
import { devicesSchema } from "../../../src/config/devices.ts";
import { RealClock } from "../../../src/core/clock.ts";
import type { Captured } from "../../../src/core/device.ts";
import { killChildren } from "./sound-server.ts";

const PATIENCE = { timeout: 60_000, interval: 50 };
const usual = devicesSchema.parse({}).camera;
const hasGst = spawnSync("gst-launch-1.0", ["--version"]).status === 0;

/** As v4l2-ctl of v4l-utils 1.22 prints it for a webcam whose raw pictures are slow when they are large. */
const LISTING = `ioctl: VIDIOC_ENUM_FMT
	Type: Video Capture

	[0]: 'MJPG' (Motion-JPEG, compressed)
		Size: Discrete 1280x720
			Interval: Discrete 0.033s (30.000 fps)
		Size: Discrete 640x480
			Interval: Discrete 0.033s (30.000 fps)
			Interval: Discrete 0.067s (15.000 fps)
	[1]: 'YUYV' (YUYV 4:2:2)
		Size: Discrete 640x480
			Interval: Discrete 0.033s (30.000 fps)
			Interval: Discrete 0.067s (15.000 fps)
		Size: Discrete 1280x720
			Interval: Discrete 0.100s (10.000 fps)
	[2]: 'XYZ9' (Something that ffmpeg does not know)
		Size: Discrete 640x480
			Interval: Discrete 0.067s (15.000 fps)
`;

describe("the mode of a V4L2 camera", () => {
  const modes = parseModes(LISTING);

  test("is read from v4l2-ctl, without formats that cannot be decoded", () => {
    expect(modes).toHaveLength(6);
    expect(modes[0]).toEqual({ fourcc: "MJPG", width: 1280, height: 720, framesPerSecond: 30 });
    expect(modes[5]).toEqual({ fourcc: "YUYV", width: 1280, height: 720, framesPerSecond: 10 });
    expect(parseModes("Cannot open device /dev/video9, exiting.")).toEqual([]);
  });

  test.each([
    [{ width: 640, height: 480, framesPerSecond: 15 }, "YUYV 640x480 15"],
    [{ width: 640, height: 480, framesPerSecond: 20 }, "YUYV 640x480 30"],
    [{ width: 1280, height: 720, framesPerSecond: 10 }, "YUYV 1280x720 10"],
    // Only MJPEG is fast enough at that size.
    [{ width: 1280, height: 720, framesPerSecond: 25 }, "MJPG 1280x720 30"],
    // Nothing is so large or so fast: rate first, then size.
    [{ width: 1920, height: 1080, framesPerSecond: 60 }, "MJPG 1280x720 30"],
  ])("for %j is %s", (wanted, expected) => {
    const { fourcc, width, height, framesPerSecond } = chooseMode(modes, wanted)!;
    expect(`${fourcc} ${width}x${height} ${framesPerSecond}`).toBe(expected);
  });

  test("goes to ffmpeg; where it is not known the driver chooses", () => {
    const wanted = { width: 1280, height: 720, framesPerSecond: 25 };
    expect(v4l2Command("/dev/video0", modes, wanted).join(" ")).toContain(
      "-f v4l2 -input_format mjpeg -video_size 1280x720 -framerate 30 -i /dev/video0",
    );
    expect(v4l2Command("/dev/video0", [], wanted).join(" ")).toContain("-f v4l2 -i /dev/video0");
    expect(takenSize(wanted)).toEqual({ width: 320, height: 180 });
  });
});

test("pictures are turned clockwise, then mirrored", () => {
  // Each pixel says where it stood: 1 2 3 over 4 5 6.
  const rgb = Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((n) => [n, n, n]));
  const seen = (rotate: 0 | 90 | 180 | 270, mirror: boolean) => {
    const picture = oriented({ width: 3, height: 2, rgb }, { rotate, mirror });
    return `${picture.width}x${picture.height} ${[...picture.rgb].filter((_, i) => i % 3 === 0).join("")}`;
  };
  expect([seen(0, false), seen(90, false), seen(180, false), seen(270, false)]).toEqual([
    "3x2 123456",
    "2x3 415263",
    "3x2 654321",
    "2x3 362514",
  ]);
  expect([seen(0, true), seen(90, true), seen(180, true), seen(270, true)]).toEqual([
    "3x2 321654",
    "2x3 142536",
    "3x2 456123",
    "2x3 635241",
  ]);
});

async function watch(
  spec: string,
  settings: typeof usual,
  body: (seen: Captured[]) => Promise<void>,
): Promise<void> {
  const clock = new RealClock();
  const stop = new AbortController();
  const camera = cameraFrom(spec, settings)!;
  const seen: Captured[] = [];
  await camera.prepare!(stop.signal);
  const watching = (async () => {
    for await (const item of camera.open(clock, stop.signal)) seen.push(item);
  })();
  clock.start();
  try {
    await body(seen);
  } finally {
    stop.abort();
    await watching;
  }
}

describe("a live camera", () => {
  const command =
    "ffmpeg -nostdin -v error -re -f lavfi -i color=red:size={width}x{height}:rate={rate},format=rgb24 -f rawvideo -flush_packets 1 -".split(
      " ",
    );

  test("gives pictures with rising times; killed with -9, it says so and comes back", async () => {
    const settings = { ...usual, command, rotate: 90 as const };
    await watch("v4l2:none", settings, async (seen) => {
      const frames = () => seen.filter((item) => item.kind === "frame");
      await vi.waitFor(() => expect(frames().length).toBeGreaterThan(5), PATIENCE);
      const [first] = frames();
      expect([first!.width, first!.height, first!.rgb.length]).toEqual([240, 320, 240 * 320 * 3]);
      expect([...first!.rgb.slice(0, 3)]).toEqual([255, 0, 0]);
      for (let kill = 1; kill <= 3; kill++) {
        const before = frames().length;
        expect(killChildren("ffmpeg")).toBe(1);
        await vi.waitFor(() => expect(frames().length).toBeGreaterThan(before + 3), PATIENCE);
      }
      const times = frames().map(({ captureMs }) => captureMs);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      const states = seen.flatMap((item) =>
        item.kind === "event" && item.event.kind === "device" ? [item.event.state] : [],
      );
      expect(states).toEqual(["lost", "ready", "lost", "ready", "lost", "ready"]);
    });
  });

  test.skipIf(!hasGst)("takes a GStreamer pipeline", async () => {
    const settings = { ...usual, width: 64, height: 48 };
    expect(gstCommand("videotestsrc", settings)[0]).toBe("gst-launch-1.0");
    await watch(
      "gst:videotestsrc is-live=true pattern=blue ! video/x-raw,width=320,height=240",
      settings,
      async (seen) => {
        await vi.waitFor(() => expect(seen.length).toBeGreaterThan(2), PATIENCE);
        expect(seen[0]).toMatchObject({ kind: "frame", width: 64, height: 48 });
        const { rgb } = seen[0] as Extract<Captured, { kind: "frame" }>;
        expect([...rgb.slice(0, 3)]).toEqual([0, 0, 255]);
      },
    );
  });

  test("that is not there is refused before the session begins", async () => {
    const camera = cameraFrom("v4l2:/dev/no-such-video", usual)!;
    await expect(camera.prepare!(new AbortController().signal)).rejects.toMatchObject({
      code: "device-unavailable",
      message: expect.stringMatching(/no-such-video.*No such file/),
    });
  });
});
