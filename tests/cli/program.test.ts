import { describe, expect, test } from "vitest";
import { parseInvocation, usageLine } from "../../src/cli/command.ts";
import { COMMANDS, findCommand } from "../../src/cli/commands.ts";
import { main } from "../../src/cli/program.ts";
import { CapturedIo } from "./io.ts";

async function call(...argv: string[]): Promise<{ status: number; io: CapturedIo }> {
  const io = new CapturedIo();
  return { status: await main(argv, io), io };
}

describe("help", () => {
  test("names every command", async () => {
    const { status, io } = await call("--help");
    expect(status).toBe(0);
    for (const { name, summary } of COMMANDS) {
      expect(io.stdout).toContain(name);
      expect(io.stdout).toContain(summary);
    }
  });

  test("of a command names every option", async () => {
    for (const command of COMMANDS) {
      const { status, io } = await call(...command.name.split(" "), "--help");
      expect(status).toBe(0);
      expect(io.stdout).toContain(usageLine(command));
      for (const name of Object.keys(command.options)) expect(io.stdout).toContain(`  --${name}`);
    }
  });

  test.each([
    [["help", "run"], "Usage: microturn run "],
    [["run", "clip.yaml", "--json", "-h"], "Usage: microturn run "],
    [["help", "models", "ls"], "Usage: microturn models ls"],
    [["models", "--help"], "Usage: microturn models COMMAND"],
    [["help", "models"], "  models verify "],
    [["help"], "Usage: microturn COMMAND"],
  ])("is found as people ask for it: %j", async (argv, page) => {
    const { status, io } = await call(...argv);
    expect(io.stdout).toContain(page);
    expect(io.stderr).toBe("");
    expect(status).toBe(0);
  });

  test("the version is the package's", async () => {
    const { status, io } = await call("--version");
    expect(io.stdout).toMatch(/^microturn \d+\.\d+\.\d+\n$/);
    expect(status).toBe(0);
  });

  test("run takes what others rely on", () => {
    const run = COMMANDS.find(({ name }) => name === "run")!;
    const flags = ["camera", "microphone", "text", "speaker", "clock", "backend", "duration", "json"];
    expect(Object.keys(run.options)).toEqual(expect.arrayContaining(flags));
    expect(run.positionals).toBe("[PROFILE.yaml]");
    for (const { options } of COMMANDS) expect(options).toHaveProperty("json");
  });
});

describe("what a person may get wrong ends with status 2 and says what", () => {
  test.each([
    [["fly"], "microturn: command: there is no 'fly'. See"],
    [["fly", "--help"], "there is no 'fly'"],
    [["eval"], "command: 'eval' needs one more word. Say eval reps, eval voice or eval scenarios"],
    [["models", "sing"], "Say models ls, models pull"],
    [["run", "--camara", "file:x.mp4"], "unknown option '--camara'"],
    [["run", "--camera"], "argument missing"],
    [["run", "--json=yes"], "--json"],
    [["run", "a.yaml", "b.yaml"], "unexpected argument 'b.yaml'"],
    [["run"], "nothing to perceive"],
    [["run", "--duration", "soon"], "--duration: 'soon' is not a number"],
    [["run", "--duration", "-3"], "--duration"],
    [["run", "--duration", ""], "--duration"],
    [["run", "--clock", "fast"], "--clock: 'fast' is none of real, virtual"],
    [["run", "--backend", "tpu"], "--backend: 'tpu' is none of auto, gpu, cpu"],
    [["run", "--weights", "f8"], "--weights"],
    // Before a model is loaded, which takes seconds: an absent one is not even looked for.
    [
      ["run", "--camera", "clip.mp4", "--model", "nowhere"],
      "--camera: 'clip.mp4' is no device. Give file:PATH",
    ],
    [
      ["run", "--microphone", "v4l2:/dev/video0", "--model", "nowhere"],
      "--microphone: 'v4l2:/dev/video0' is no device",
    ],
    [
      ["run", "--speaker", "file:", "--model", "nowhere"],
      "--speaker: 'file:' is no device. Give file:PATH.wav",
    ],
    [["run", "--seed", "1.5"], "whole number"],
    [["run", "--seed", "4294967296"], "seed"],
    [["run", "--text", "count my reps"], "SECONDS:TEXT"],
    [["run", "--text", "0:"], "SECONDS:TEXT"],
    [["run", "--text", "-1:hello"], "argument is ambiguous"],
    [["eval", "reps"], "DIR is missing"],
    [["config", "check"], "PROFILE.yaml is missing"],
  ])("%j", async (argv, message) => {
    const { status, io } = await call(...argv);
    expect(io.stderr).toContain(message);
    expect(status).toBe(2);
    expect(io.stdout).toBe("");
  });

  test("no command at all prints the overview, status 2", async () => {
    const { status, io } = await call();
    expect(status).toBe(2);
    expect(io.stdout).toContain("Usage: microturn COMMAND");
  });
});

test("a command of two words is found before one of one word", () => {
  const { command, rest } = findCommand(["eval", "reps", "clips", "--json"]);
  expect(command.name).toBe("eval reps");
  expect(rest).toEqual(["clips", "--json"]);
  const { values, positionals } = parseInvocation(command, rest, new CapturedIo());
  expect(values.json).toBe(true);
  expect(positionals).toEqual(["clips"]);
});

test("a fault nobody foresaw is told with its trace, status 1", async () => {
  const io = new CapturedIo();
  const broken = {
    ...io,
    out: () => {
      throw new TypeError("broken pipe dream");
    },
    err: (text: string) => io.err(text),
  };
  expect(await main(["--help"], broken as unknown as CapturedIo)).toBe(1);
  expect(io.stderr).toContain("TypeError: broken pipe dream");
});
