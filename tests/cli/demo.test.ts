import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { demo } from "../../src/cli/demo.ts";
import { loadScene } from "../../src/cli/scene.ts";
import { CapturedIo } from "./io.ts";
import { makeVideo, temporaryFolder } from "./media.ts";
import { scriptedParts } from "./scripted-model.ts";

const folder = temporaryFolder();

function writeScene(): string {
  makeVideo(join(folder, "scene.mp4"), 6);
  const scene = {
    title: "three things",
    durationS: 7,
    video: "scene.mp4",
    typed: [{ timeS: 0, text: "count what you see" }],
    truth: { reps: [1.8, 3.8, 5.8].map((timeS, i) => ({ timeS, count: i + 1 })) },
  };
  const path = join(folder, "scene.json");
  writeFileSync(path, JSON.stringify(scene));
  return path;
}

test("demo writes speech, captions and a report, and sums up", async () => {
  const io = new CapturedIo();
  const out = join(folder, "out/demo");
  const { command, rest } = findCommand(["demo", "--out", out, "--clock", "virtual"]);
  expect(await demo(parseInvocation(command, rest, io), scriptedParts(), writeScene())).toBe(0);

  expect(readdirSync(out).sort()).toEqual(["captions.vtt", "report.html", "speech.wav", "timeline.svg"]);
  const wav = readFileSync(join(out, "speech.wav"));
  const rateHz = wav.readUInt32LE(24);
  expect((wav.length - 44) / 2 / rateHz).toBeGreaterThanOrEqual(7 - 0.2);
  expect(readFileSync(join(out, "captions.vtt"), "utf8")).toMatch(
    /^WEBVTT\n\n00:00:02\.\d{3} --> 00:00:0[23]\.\d{3}\n1\n/,
  );
  const html = readFileSync(join(out, "report.html"), "utf8");
  expect(html).toContain("three things");
  expect(html.match(/class="rep"/g)!.length).toBeGreaterThanOrEqual(3);

  expect(io.stdout).toContain("Repetitions: 3 done, the last number spoken was 3.");
  expect(io.stdout).toContain(join(out, "report.html"));
});

test("the bundled scene can be read and its media are there", async () => {
  const scene = await loadScene(new URL("../../deploy/demo/scene.json", import.meta.url).pathname);
  expect(readFileSync(scene.video!).length).toBeGreaterThan(1000);
  expect(readFileSync(scene.microphone!).length).toBeGreaterThan(1000);
  expect(scene.typed.length).toBeGreaterThan(0);
});

test.each([
  ["{}", "durationS"],
  ['{"durationS": 0}', "durationS"],
  ['{"durationS": 5, "typed": [{"timeS": -1, "text": "x"}]}', "typed.0.timeS"],
  ["no json", "not JSON"],
])("a scene that is %s is refused by name", async (text, message) => {
  const path = join(folder, "wrong.json");
  writeFileSync(path, text);
  await expect(loadScene(path)).rejects.toMatchObject({
    code: "invalid-media",
    message: expect.stringContaining(message),
  });
});
