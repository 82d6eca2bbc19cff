import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Command, parseInvocation } from "../../../src/cli/command.ts";
import { findCommand } from "../../../src/cli/commands.ts";
import { evalReps } from "../../../src/cli/eval/reps.ts";
import { evalScenarios } from "../../../src/cli/eval/scenarios.ts";
import { evalVoice } from "../../../src/cli/eval/voice.ts";
import { CapturedIo } from "../io.ts";
import { makeTone, makeVideo, temporaryFolder } from "../media.ts";
import { ScriptedModel, scriptedParts } from "../scripted-model.ts";

const folder = temporaryFolder();
const clips = join(folder, "clips");

type Run = (
  invocation: Parameters<Command["run"]>[0],
  parts: ReturnType<typeof scriptedParts>,
) => Promise<number>;

async function evaluate(run: Run, ...argv: string[]): Promise<CapturedIo> {
  const io = new CapturedIo();
  const { command, rest } = findCommand(["eval", ...argv]);
  expect(await run(parseInvocation(command, rest, io), scriptedParts(new ScriptedModel()))).toBe(0);
  return io;
}

beforeAll(() => {
  mkdirSync(clips);
  makeVideo(join(clips, "six.mp4"), 6);
  makeVideo(join(clips, "three.mp4"), 3);
  makeTone(join(clips, "speech.wav"), { fromS: 1, toS: 2.5, seconds: 4 });
  makeTone(join(clips, "quiet.wav"), { fromS: 9, toS: 9, seconds: 4 });
  makeTone(join(clips, "bang.wav"), { fromS: 2, toS: 2.5, seconds: 4 });
});

describe("eval reps", () => {
  beforeAll(() => {
    // The scripted model counts at 2, 4 and 6 s; its number sounds one micro-turn's closing later at most.
    const files = [
      // Both forms of a path: beside the manifest's folder, and in it.
      {
        file: "clips/six.mp4",
        reps: 3,
        reps_accept: [3, 3],
        rep_end_s: [1.8, 3.8, 5.8],
        negative: false,
        duration_s: 6,
      },
      {
        file: "three.mp4",
        reps: 3,
        reps_accept: [2, 3],
        rep_end_s: [0.2, 0.9, 1.8],
        negative: false,
        duration_s: 3,
      },
      { file: "clips/three.mp4", reps: 0, reps_accept: [0, 0], rep_end_s: [], negative: true, duration_s: 3 },
    ];
    writeFileSync(join(clips, "manifest.json"), JSON.stringify({ files }));
  });

  test("scores what a known model says", async () => {
    const io = await evaluate(evalReps, "reps", clips, "--json");
    const lines = io.jsonLines();
    expect(
      lines.filter(({ kind }) => kind === "clip").map(({ score }) => (score as { said: number }).said),
    ).toEqual([3, 1, 1]);
    const summary = lines.at(-1)!;
    // Clip 2: said 1, nearest accepted 2, so off by half; its number at 2 s belongs to the completion at 1.8 s.
    expect(summary).toMatchObject({
      kind: "summary",
      exerciseClips: 2,
      mae: 0.25,
      within1: 1,
      exact: 0.5,
      completions: 6,
      matched: 4,
      unmatchedSpoken: 0,
      negativeClips: 1,
      falseCounts: 1,
      falseCountsPerMinute: 20,
      backend: "cpu",
    });
    const { median } = summary.delayS as { median: number };
    expect(median).toBeCloseTo(0.2, 6);
  });

  test("prints a table for people", async () => {
    const { stdout } = await evaluate(evalReps, "reps", clips);
    expect(stdout).toMatch(/six\.mp4 +3 +3 +exact +3\/3 +1@2\.\d 2@4\.\d 3@6\.\d/);
    expect(stdout).toMatch(/three\.mp4 +0 +1 +FALSE/);
    expect(stdout).toContain("MAE              0.25");
  });
});

describe("eval voice", () => {
  beforeAll(() => {
    const files = [
      { file: "speech.wav", kind: "speech", speech_segments_s: [[1, 2.5]], duration_s: 4 },
      { file: "quiet.wav", kind: "noise", speech_segments_s: [], duration_s: 4 },
      { file: "bang.wav", kind: "noise", speech_segments_s: [], duration_s: 4 },
    ];
    mkdirSync(join(folder, "voice"));
    writeFileSync(
      join(folder, "voice/manifest.json"),
      JSON.stringify({ files: files.map((f) => ({ ...f, file: `clips/${f.file}` })) }),
    );
  });

  test("scores what a known model does", async () => {
    const io = await evaluate(evalVoice, "voice", join(folder, "voice"), "--text", "talk", "--json");
    const verdicts = io.jsonLines().filter(({ kind }) => kind === "clip");
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(["right", "right", "false"]);
    // The tone begins at 5.0 s, its micro-turn closes at 5.2 s, and the speaker falls silent within 50 ms.
    expect(verdicts[0]!.delayS).toBeGreaterThan(0.15);
    expect(verdicts[0]!.delayS).toBeLessThanOrEqual(0.4);
    const [strict, wide] = io.jsonLines().filter(({ kind }) => kind === "summary");
    expect(strict).toMatchObject({
      windowS: 0.4,
      speechClips: 1,
      yieldedShare: 1,
      otherClips: 2,
      falseShare: 0.5,
    });
    expect(wide).toMatchObject({ windowS: 1, yieldedShare: 1 });
  });

  test("says so if the model has nothing to say", async () => {
    const silent = evaluate(evalVoice, "voice", join(folder, "voice"), "--text", "be quiet");
    await expect(silent).rejects.toMatchObject({
      code: "invalid-argument",
      message: expect.stringContaining("--text"),
    });
  });
});

describe("eval scenarios", () => {
  test("scores what a known model says", async () => {
    const scenes = join(folder, "scenes");
    mkdirSync(scenes);
    const scene = {
      durationS: 6,
      video: "../clips/six.mp4",
      typed: [{ timeS: 0, text: "count my reps" }],
      truth: {
        reps: [
          { timeS: 1.5, count: 1 },
          { timeS: 3.5, count: 2 },
          { timeS: 5.5, count: 3 },
        ],
        due: [{ timeS: 5, text: "breathe" }],
        answers: [],
      },
    };
    writeFileSync(join(scenes, "a.json"), JSON.stringify(scene));
    const other = {
      durationS: 2,
      typed: [{ timeS: 0, text: "talk" }],
      truth: { answers: [{ askedS: 0, text: "word", byS: 1 }] },
    };
    writeFileSync(join(scenes, "b.json"), JSON.stringify(other));
    const io = await evaluate(evalScenarios, "scenarios", scenes, "--json");
    expect(io.jsonLines().at(-1)).toMatchObject({
      scenes: 2,
      countingScenes: 1,
      exact: 1,
      within1: 1,
      due: 1,
      dueRight: 0,
      answers: 1,
      answersRight: 1,
    });
  });
});

describe("a folder to evaluate", () => {
  test.each([
    ["reps", '{"files": []}', "files"],
    ["reps", '{"files": [{"file": "x.mp4"}]}', "reps"],
    ["reps", '{"files": [{"file": "x.mp4", "reps": 1, "duration_s": 3}]}', "x.mp4"],
    ["reps", "no json", "not JSON"],
    ["voice", '{"files": [{"file": "x.wav", "duration_s": 1}]}', "kind"],
  ])("for %s with manifest %s is refused", async (what, manifest, message) => {
    const directory = temporaryFolder();
    writeFileSync(join(directory, "manifest.json"), manifest);
    const run = what === "reps" ? evalReps : evalVoice;
    await expect(evaluate(run, what, directory)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining(message),
    });
  });

  test("without a manifest is refused", async () => {
    await expect(evaluate(evalReps, "reps", temporaryFolder())).rejects.toMatchObject({
      code: "missing-file",
    });
    await expect(evaluate(evalScenarios, "scenarios", temporaryFolder())).rejects.toMatchObject({
      code: "missing-file",
    });
  });
});
