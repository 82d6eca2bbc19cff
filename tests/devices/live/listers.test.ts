import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { listCameras } from "../../../devices/camera/list-cameras.ts";
import { listSound } from "../../../devices/media/list-sound.ts";

test("cameras are listed by the name that outlives replugging, without their metadata nodes", async () => {
  const root = mkdtempSync(join(tmpdir(), "microturn-cameras-"));
  const [dev, sys] = [join(root, "dev"), join(root, "sys")];
  mkdirSync(join(dev, "v4l/by-id"), { recursive: true });
  for (const [node, index, name] of [
    ["video0", 0, "HD Webcam"],
    ["video1", 1, "HD Webcam"],
    ["video2", 0, "Capture Card"],
  ] as const) {
    writeFileSync(join(dev, node), "");
    mkdirSync(join(sys, "class/video4linux", node), { recursive: true });
    writeFileSync(join(sys, "class/video4linux", node, "index"), `${index}\n`);
    writeFileSync(join(sys, "class/video4linux", node, "name"), `${name}\n`);
  }
  symlinkSync("../../video0", join(dev, "v4l/by-id/usb-HD_Webcam-video-index0"));
  const isPermitted = async (path: string) => path.endsWith("video0");
  expect(await listCameras({ dev, sys, isPermitted })).toEqual([
    { path: `v4l2:${dev}/v4l/by-id/usb-HD_Webcam-video-index0`, name: "HD Webcam", state: "ok" },
    {
      path: `v4l2:${dev}/video2`,
      name: "Capture Card",
      state: "no permission",
      problem: expect.stringContaining("video2"),
      remedy: expect.stringContaining("usermod -aG video"),
    },
  ]);
  expect(await listCameras({ dev: "/nowhere", sys: "/nowhere", isPermitted })).toEqual([]);
});

test("microphones are those of the sound server and of the cards", async () => {
  const answers: Record<string, string> = {
    "pactl list short sources":
      "0\tout.monitor\tmodule-null-sink.c\ts16le 2ch 48000Hz\tIDLE\n1\talsa_input.usb\tmodule-alsa-card.c\ts16le 1ch 48000Hz\tIDLE\n",
    "arecord -l":
      "**** List of CAPTURE Hardware Devices ****\ncard 1: Device [USB Audio Device], device 0: USB Audio [USB Audio]\n  Subdevices: 1/1\n",
  };
  const ask = async (command: string, args: readonly string[]) => answers[[command, ...args].join(" ")] ?? "";
  expect(await listSound("microphone", ask)).toEqual([
    { path: "pulse:out.monitor", name: "what a speaker plays", state: "ok" },
    { path: "pulse:alsa_input.usb", name: "sound server", state: "ok" },
    { path: "alsa:plughw:CARD=Device,DEV=0", name: "USB Audio Device, USB Audio", state: "ok" },
  ]);
  expect(await listSound("speaker", ask)).toEqual([]);
});
