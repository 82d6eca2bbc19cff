import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { run } from "../../src/cli/run.ts";
import type { MicroTurnInput, MicroTurnOutput } from "../../src/core/micro-turn.ts";
import { CapturedIo } from "./io.ts";
import { makeTone, makeVideo, temporaryFolder } from "./media.ts";
import { ScriptedModel, scriptedParts } from "./scripted-model.ts";

const folder = temporaryFolder();
const video = join(folder, "six-seconds.mp4");

beforeAll(() => makeVideo(video, 6));

/** A scripted model that hears two words at once, a second and a half late. */
class HearingModel extends ScriptedModel {
  override async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    const output = await super.step(inputs);
    if (inputs[0]!.index !== 12) return output;
    const words = [
      { kind: "text", text: "good", heardMs: 1040 },
      { kind: "text", text: "morning", heardMs: 1280 },
    ] as const;
    return { ...output, parts: [...output.parts, ...words] };
  }
}

async function session(...argv: string[]): Promise<{ io: CapturedIo; status: number; model: ScriptedModel }> {
  const io = new CapturedIo();
  const model = new ScriptedModel();
  const { command, rest } = findCommand(["run", ...argv]);
  const status = await run(parseInvocation(command, rest, io), scriptedParts(model));
  return { io, status, model };
}

const counting = ["--camera", `file:${video}`, "--text", "0:count my reps", "--clock", "virtual"];

describe("run --json", () => {
  test("prints JSON lines of the agreed shape and ends with `end`", async () => {
    const { io, status, model } = await session(...counting, "--json");
    expect(status).toBe(0);
    const lines = io.jsonLines();
    expect(lines.filter(({ kind }) => kind === "speech").map(({ text }) => String(text).trim())).toEqual([
      "1",
      "2",
      "3",
    ]);
    for (const line of lines) {
      expect(typeof line.tMs).toBe("number");
      expect(Number.isInteger(line.microTurn)).toBe(true);
      expect(["speech", "text", "action", "late", "degraded", "device", "reasoner", "end"]).toContain(
        line.kind,
      );
    }
    const end = lines.at(-1)!;
    expect(end).toMatchObject({
      kind: "end",
      late: 0,
      backend: "cpu",
      adapter: "none",
      model: "test/scripted",
    });
    expect(Object.keys(end.stepMs as object).sort()).toEqual(["max", "p50", "p99", "p999"]);
    // 6 s of film and 2 s in which a late number may still come.
    expect(end.microTurns).toBeGreaterThanOrEqual(30);
    expect(model.turnsWithPicture).toBe(30);
    expect(model.closed).toBe(true);
  });

  test("says a number when its first sample sounds", async () => {
    const { io } = await session(...counting, "--json");
    // The tenth picture is in micro-turn 9, which closes at 2000 ms.
    const first = io.jsonLines().find(({ kind }) => kind === "speech")!;
    expect(first.tMs).toBeGreaterThanOrEqual(2000);
    expect(first.tMs).toBeLessThan(2200);
  });

  test("the same session in virtual time prints the same lines", async () => {
    const outputs = await Promise.all([1, 2].map(() => session(...counting, "--json")));
    const [first, second] = outputs.map(({ io }) => io.jsonLines().filter(({ kind }) => kind !== "end"));
    expect(first).toEqual(second);
  });

  test("tells of giving way as an action with the words that were not heard", async () => {
    const tone = join(folder, "tone.wav");
    makeTone(tone, { fromS: 3, toS: 4, seconds: 6 });
    const { io } = await session(
      "--microphone",
      `file:${tone}`,
      "--text",
      "0:talk",
      "--clock",
      "virtual",
      "--json",
    );
    const yields = io.jsonLines().filter(({ kind, name }) => kind === "action" && name === "yield");
    expect(yields).toHaveLength(1);
    expect(yields[0]!.tMs).toBeGreaterThanOrEqual(3000);
    expect(yields[0]!.tMs).toBeLessThanOrEqual(3400);
    expect(yields[0]!.args).toHaveProperty("unsaid");
  });
});

describe("run for people", () => {
  test("prints plain lines when piped", async () => {
    const { io } = await session(...counting);
    expect(io.stdout).toContain("test/scripted on cpu (none): it is a test");
    expect(io.stdout).toMatch(/^ +0:02\.\d {2}says {5}1$/m);
    expect(io.stdout).toMatch(/^\d+ micro-turns of 200 ms, 0 late$/m);
    expect(io.stdout).not.toContain("\x1b");
  });

  test("draws lanes in place on a terminal", async () => {
    const io = new CapturedIo();
    io.isTerminal = true;
    const { command, rest } = findCommand(["run", ...counting]);
    await run(parseInvocation(command, rest, io), scriptedParts());
    const drawings = io.stdout.split("\x1b[9A");
    expect(drawings.length).toBeGreaterThan(30);
    expect(drawings.at(-1)).toMatch(/typed +count my reps/);
    expect(drawings.at(-1)).toMatch(/says +1 +2 +3/);
    for (const line of drawings.at(-1)!.split("\n").slice(0, 9))
      expect([...line].length).toBeLessThanOrEqual(io.columns + 4);
  });

  test("ends in order when interrupted", async () => {
    const io = new CapturedIo();
    const { command, rest } = findCommand(["run", "--duration", "600", "--text", "0:talk"]);
    setTimeout(() => io.interrupt(), 700);
    expect(await run(parseInvocation(command, rest, io), scriptedParts())).toBe(0);
    expect(io.stdout).toMatch(/^\d micro-turns of 200 ms/m);
  });

  test("--duration alone says how long a session without films lasts", async () => {
    const { io } = await session("--text", "0:talk", "--duration", "10", "--clock", "virtual", "--json");
    expect(io.jsonLines().at(-1)).toMatchObject({ kind: "end", microTurns: 50 });
  });
});

describe("what run writes", () => {
  test("speech as WAV and the report as one page", async () => {
    const [wav, page] = [join(folder, "said.wav"), join(folder, "new/folder/report.html")];
    const { status } = await session(...counting, "--speaker", `file:${wav}`, "--report", page);
    expect(status).toBe(0);
    expect(readFileSync(wav).toString("latin1", 0, 4)).toBe("RIFF");
    const html = readFileSync(page, "utf8");
    expect(html).toContain("<svg");
    expect(html).toContain("count my reps");
    expect(html).not.toMatch(/(src|href)=|url\(|@import/);
  });

  test("captions of what sounded and of what was heard", async () => {
    const captions = join(folder, "captions.vtt");
    const { command, rest } = findCommand(["run", ...counting, "--captions", captions]);
    const io = new CapturedIo();
    expect(await run(parseInvocation(command, rest, io), scriptedParts(new HearingModel()))).toBe(0);
    const text = readFileSync(captions, "utf8");
    expect(text).toMatch(/^WEBVTT\n\n/);
    expect(text).toContain("00:00:01.040 --> 00:00:01.940\ngood morning\n");
    expect([...text.matchAll(/^(\d)$/gm)].map(([, number]) => number)).toEqual(["1", "2", "3"]);
    expect(io.stdout).toContain("0:01.0  hears    good");
  });

  test("nothing, if the session fails", async () => {
    const wav = join(folder, "never.wav");
    const failing = session(
      "--camera",
      `file:${join(folder, "absent.mp4")}`,
      "--speaker",
      `file:${wav}`,
      "--clock",
      "virtual",
    );
    await expect(failing).rejects.toMatchObject({ exitCode: 69 });
    expect(existsSync(wav)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes("never"))).toEqual([]);
  });

  test("with a profile: flags override it", async () => {
    const profile = join(folder, "mirror.yaml");
    writeFileSync(
      profile,
      `camera: file:${video}\nclock: virtual\ntext:\n  - {seconds: 0, text: nothing to do}\n`,
    );
    const quiet = await session(profile, "--json");
    expect(quiet.io.jsonLines().filter(({ kind }) => kind === "speech")).toEqual([]);
    const counted = await session(profile, "--text", "0:count my reps", "--json");
    expect(counted.io.jsonLines().filter(({ kind }) => kind === "speech")).toHaveLength(3);
  });
});

describe("live devices", () => {
  test.each([
    ["--camera", "v4l2:/dev/no-such-video"],
    ["--microphone", "alsa:no-such-device"],
    ["--speaker", "alsa:no-such-device"],
  ])("%s %s that is not there: 69, before the session begins", async (flag, spec) => {
    await expect(session(flag, spec, "--clock", "real", "--duration", "1")).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining(spec),
    });
  });

  test("are refused in virtual time", async () => {
    await expect(session("--microphone", "pulse:default", "--clock", "virtual")).rejects.toMatchObject({
      exitCode: 78,
      message: expect.stringMatching(/pulse:default.*--clock real/),
    });
  });

  test.each(["webcam", "file:", "files:x", ""])("%j is no device: 2", async (spec) => {
    await expect(session("--camera", spec, "--text", "0:count")).rejects.toMatchObject({ exitCode: 2 });
  });
});
