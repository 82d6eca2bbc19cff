import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { record } from "../../src/cli/record.ts";
import { run } from "../../src/cli/run.ts";
import { Recording } from "../../src/record/reader.ts";
import { CapturedIo } from "./io.ts";
import { makeVideo, temporaryFolder } from "./media.ts";
import { ScriptedModel, scriptedParts } from "./scripted-model.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const folder = temporaryFolder();
const video = join(folder, "six-seconds.mp4");
const counting = ["--camera", `file:${video}`, "--text", "0:count my reps", "--clock", "virtual"];

beforeAll(() => makeVideo(video, 6));

async function call(argv: string[], { parts = scriptedParts(), isTerminal = false } = {}) {
  const io = new CapturedIo();
  io.isTerminal = isTerminal;
  const { command, rest } = findCommand(argv);
  const start = command.name === "record" ? record : run;
  return { io, status: await start(parseInvocation(command, rest, io), parts) };
}

describe("a recording is off unless asked for, and plain to see", () => {
  test("without --record nothing is written", async () => {
    const before = readdirSync(folder);
    const { io } = await call(["run", ...counting, "--json"]);
    expect(readdirSync(folder)).toEqual(before);
    expect(io.stdout).not.toContain("recorder");
  });

  test("the first line of --json says so, and the other lines are those of a session without", async () => {
    const path = join(folder, "seen.mcap");
    const [without, with_] = [
      await call(["run", ...counting, "--json"]),
      await call(["run", ...counting, "--json", "--record", path]),
    ].map(({ io }) => io.jsonLines().filter(({ kind }) => kind !== "end"));
    expect(with_![0]).toEqual({
      tMs: 0,
      microTurn: 0,
      kind: "device",
      device: `recorder ${path}`,
      state: "ready",
      detail: "sound, pictures, text and what is said are recorded",
    });
    expect(with_!.slice(1)).toEqual(without);
  });

  test("a terminal shows it in every drawing", async () => {
    const path = join(folder, "terminal.mcap");
    const { io } = await call(["run", ...counting, "--record", path], { isTerminal: true });
    const drawings = io.stdout.split("\x1b[9A");
    expect(drawings.length).toBeGreaterThan(30);
    for (const drawing of drawings) expect(drawing).toContain(`● recording to ${path} | test/scripted`);
  });
});

describe("what is recorded", () => {
  test("is the session that was told: steps, events, configuration and the checkpoint's digests", async () => {
    const path = join(folder, "new/folder/whole.mcap");
    const { io, status } = await call(["record", ...counting, "--seed", "9", "--out", path, "--json"]);
    expect(status).toBe(0);
    const recording = await Recording.open(path);
    const { profile, model, checkpoint, startedAt } = recording.head;
    expect(profile).toMatchObject({ camera: `file:${video}`, seed: 9, clock: "virtual" });
    expect(model.model).toBe("test/scripted");
    expect(Object.keys(checkpoint)).toEqual(["config.json", "tokenizer.json", "model.safetensors"]);
    expect(checkpoint["config.json"]!.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(Math.abs(Date.parse(startedAt) - Date.now())).toBeLessThan(3_600_000);

    const [events, said]: [object[], string[]] = [[], []];
    for await (const entry of recording.entries()) {
      if (entry.kind === "event") events.push(entry.event);
      else
        for (const part of entry.step.output.parts) said.push("text" in part ? part.text.trim() : part.kind);
    }
    expect(said).toEqual(["1", "2", "3"]);
    // The first line is the recorder's own.
    expect(events).toEqual(io.jsonLines().slice(1));
    expect(recording.tear).toBeNull();
  });

  test("says nothing of what failed to begin", async () => {
    const path = join(folder, "failed.mcap");
    await expect(
      call(["run", "--camera", `file:${join(folder, "absent.mp4")}`, "--record", path, "--clock", "virtual"]),
    ).rejects.toMatchObject({ exitCode: 69 });
    // The file is whole all the same: a session that fails is what one wants to look at.
    const recording = await Recording.open(path);
    for await (const entry of recording.entries()) expect(entry).toBeUndefined();
    expect(recording.tear).toBeNull();
  });
});

describe("the session is not harmed", () => {
  test("by a recording that has to stop", async () => {
    const path = join(folder, "stops.mcap");
    const model = new ScriptedModel();
    const step = model.step.bind(model);
    model.step = (inputs) => {
      // In mid-session a folder takes the place of the recording's second file.
      if (inputs[0]!.index === 1) mkdirSync(path.replace(".mcap", ".1.mcap"));
      return step(inputs);
    };
    const argv = ["--text", "0:talk", "--duration", "60", "--clock", "virtual", "--json", "--record", path];
    const { io, status } = await call(["run", ...argv, "--record-limit", "1"], {
      parts: scriptedParts(model),
    });
    expect(status).toBe(0);
    const told = io.jsonLines();
    const lost = told.filter(({ kind, state }) => kind === "device" && state === "lost");
    expect(lost).toHaveLength(1);
    expect(lost[0]!.detail).toMatch(/recording: .*stops\.1\.mcap could not be written: EEXIST/);
    expect(told.at(-1)).toMatchObject({ kind: "end", microTurns: 300 });
    expect(existsSync(path)).toBe(true);
    expect(statSync(path).size).toBeLessThan(1_000_000);
  });
});

describe("what a person may get wrong", () => {
  test.each([
    [["record", ...counting], 2, "--out FILE.mcap"],
    [["run", ...counting, "--record", join(folder, "twice.mcap")], 2, "already"],
    [["run", ...counting, "--record", "x.mcap", "--record-limit", "0"], 2, "--record-limit"],
    [["run", ...counting, "--record", `${video}/x.mcap`], 75, "could not be written"],
  ])("%j", async (argv, exitCode, message) => {
    if (message === "already") await call(argv);
    await expect(call(argv)).rejects.toMatchObject({ exitCode, message: expect.stringContaining(message) });
  });
});
