import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { main } from "../../src/cli/program.ts";
import { run } from "../../src/cli/run.ts";
import { writeRandomCheckpoint } from "../models/native/random-checkpoint.ts";
import { CapturedIo } from "./io.ts";
import { makeTone, makeVideo, temporaryFolder } from "./media.ts";
import { scriptedParts } from "./scripted-model.ts";

const folder = temporaryFolder();
const checkpoint = join(folder, "checkpoint");
const at = (name: string): string => join(folder, name);

beforeAll(() => writeRandomCheckpoint(checkpoint));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The whole program in this process, on the tiny checkpoint. */
async function call(...argv: string[]): Promise<{ status: number; io: CapturedIo }> {
  const io = new CapturedIo();
  return { status: await main(argv, io), io };
}

/** A session of a scripted model: what happens to a bad file must not depend on the model. */
async function session(...argv: string[]): Promise<CapturedIo> {
  const io = new CapturedIo();
  const { command, rest } = findCommand(["run", "--clock", "virtual", "--json", ...argv]);
  await run(parseInvocation(command, rest, io), scriptedParts());
  return io;
}

describe("a checkpoint", () => {
  const onFiles = (model: string): string[] => [
    "run",
    "--backend",
    "cpu",
    "--model",
    model,
    "--duration",
    "1",
    "--clock",
    "virtual",
    "--voice",
    "fake",
  ];

  async function damaged(
    name: string,
    damage: (directory: string) => void,
  ): Promise<{ status: number; io: CapturedIo }> {
    const directory = at(name);
    await cp(checkpoint, directory, { recursive: true });
    damage(directory);
    return call(...onFiles(directory));
  }

  test("that is whole runs", async () => {
    const { status, io } = await call(...onFiles(checkpoint));
    expect(io.stderr).toBe("");
    expect(status).toBe(0);
  });

  test("that is not there", async () => {
    const { status, io } = await call(...onFiles(at("nowhere")));
    expect(status).toBe(78);
    expect(io.stderr).toContain("nowhere");
    expect(io.stderr).toContain("--model");
  });

  test.each(["config.json", "model.safetensors", "tokenizer.json"])("without %s", async (file) => {
    const { status, io } = await damaged(`without-${file}`, (directory) => rmSync(join(directory, file)));
    expect([69, 78]).toContain(status);
    expect(io.stderr).toContain(file);
    expect(io.stderr).not.toContain("unexpected fault");
  });

  test.each(["config.json", "model.safetensors", "tokenizer.json"])("with %s cut short", async (file) => {
    const { status, io } = await damaged(`short-${file}`, (directory) => {
      const path = join(directory, file);
      truncateSync(path, Math.floor(readFileSync(path).length / 2));
    });
    expect(status).toBe(78);
    expect(io.stderr).not.toContain("unexpected fault");
  });

  test("that is not what was shipped, by the model lock", async () => {
    const { status, io } = await call("models", "verify");
    expect(status, io.stderr).toBe(0);
  });
});

describe("a video", () => {
  test("that is not there", async () => {
    await expect(session("--camera", `file:${at("absent.mp4")}`)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("absent.mp4"),
    });
  });

  test("that is no video", async () => {
    writeFileSync(at("text.mp4"), "this is not a film\n".repeat(100));
    await expect(session("--camera", `file:${at("text.mp4")}`)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("text.mp4"),
    });
  });

  test("without frames", async () => {
    makeTone(at("sound-only.wav"), { fromS: 0, toS: 1, seconds: 1 });
    await expect(session("--camera", `file:${at("sound-only.wav")}`)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("sound-only.wav"),
    });
  });

  test("that ends early: what there is of it is used, or the file is named", async () => {
    makeVideo(at("whole.mkv"), 4);
    const bytes = readFileSync(at("whole.mkv"));
    writeFileSync(at("cut.mkv"), bytes.subarray(0, Math.floor(bytes.length * 0.6)));
    const outcome = await session("--camera", `file:${at("cut.mkv")}`).catch((error: unknown) => error);
    if (outcome instanceof CapturedIo) expect(outcome.jsonLines().at(-1)).toMatchObject({ kind: "end" });
    else expect(outcome).toMatchObject({ exitCode: 69, message: expect.stringContaining("cut.mkv") });
  });

  test("that changes size goes on in the size it began with", async () => {
    makeVideo(at("small.ts"), 2, "160x120");
    makeVideo(at("large.ts"), 2, "320x240");
    writeFileSync(
      at("grows.ts"),
      Buffer.concat([readFileSync(at("small.ts")), readFileSync(at("large.ts"))]),
    );
    const io = await session("--camera", `file:${at("grows.ts")}`, "--text", "0:count");
    expect(io.jsonLines().filter(({ kind }) => kind === "speech")).toHaveLength(2);
  });
});

describe("a WAV", () => {
  test.each([8_000, 44_100])("of %d Hz is brought to the model's rate", async (rateHz) => {
    const path = at(`tone-${rateHz}.wav`);
    makeTone(path, { fromS: 1, toS: 2, seconds: 3, rateHz });
    const io = await session("--microphone", `file:${path}`, "--text", "0:talk");
    const [first] = io.jsonLines().filter(({ name }) => name === "yield");
    expect(first!.tMs).toBeGreaterThanOrEqual(1000);
    expect(first!.tMs).toBeLessThanOrEqual(1400);
  });

  test("that is no WAV", async () => {
    writeFileSync(at("text.wav"), "RIFF but no more");
    await expect(session("--microphone", `file:${at("text.wav")}`)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("text.wav"),
    });
  });

  test("a film without sound", async () => {
    makeVideo(at("mute.mp4"), 1);
    await expect(session("--microphone", `file:${at("mute.mp4")}`)).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("mute.mp4"),
    });
  });
});

describe("outputs", () => {
  test("in a folder that may not be made", async () => {
    writeFileSync(at("a-file"), "");
    const report = session("--duration", "1", "--report", join(at("a-file"), "report.html"));
    await expect(report).rejects.toMatchObject({
      exitCode: 75,
      message: expect.stringContaining("report.html"),
    });
    const speaker = session("--duration", "1", "--speaker", `file:${join(at("a-file"), "said.wav")}`);
    await expect(speaker).rejects.toMatchObject({
      exitCode: 75,
      message: expect.stringContaining("said.wav"),
    });
  });

  test("on a full disk: 75, and nothing half-written", async (context) => {
    const disk = at("tiny-disk");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      context.skip("a small disk can be made by root only");
    }
    try {
      // 20 s of talk are 640 kB of sound; a report of 100 micro-turns is larger than the disk, too.
      const talk = ["--text", "0:talk", "--duration", "20"];
      const speaker = session(...talk, "--speaker", `file:${join(disk, "said.wav")}`);
      await expect(speaker).rejects.toMatchObject({
        exitCode: 75,
        message: expect.stringMatching(/said\.wav.*space/is),
      });
      const report = session(...talk, "--report", join(disk, "report.html"));
      await expect(report).rejects.toMatchObject({
        exitCode: 75,
        message: expect.stringMatching(/report\.html.*space/is),
      });
      expect(readdirSync(disk)).toEqual([]);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});

describe("standard output", () => {
  const mainPath = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const schema = ["--import", "tsx", mainPath, "config", "schema"];

  test("on a full disk: 75", () => {
    if (!existsSync("/dev/full")) return;
    const { status, stderr } = spawnSync(process.execPath, schema, {
      stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
    });
    expect(stderr.toString()).toContain("disk is full");
    expect(status).toBe(75);
  });

  test("closed by its reader is no fault to shout about", async () => {
    const child = spawn(process.execPath, schema, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const status = await new Promise((resolve) => child.once("close", resolve));
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });
});
