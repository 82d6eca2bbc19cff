import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { loadProfile, parseProfile, profileJsonSchema } from "../../src/config/profile.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { CapturedIo } from "../cli/io.ts";

async function profileFile(text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "microturn-profile-")), "mirror.yaml");
  await writeFile(path, text);
  return path;
}

async function faultOf(text: string): Promise<RuntimeError> {
  const path = await profileFile(text);
  const fault = await loadProfile(path).catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(RuntimeError);
  return fault as RuntimeError;
}

describe("a profile", () => {
  test("takes what it says and fills in the rest", async () => {
    const path = await profileFile(
      "camera: file:squat.mp4\ntext:\n  - {seconds: 1.5, text: count my squats}\n",
    );
    expect(await loadProfile(path)).toMatchObject({
      camera: "file:squat.mp4",
      microphone: "none",
      text: [{ seconds: 1.5, text: "count my squats" }],
      clock: "real",
      backend: "auto",
    });
  });

  test("may be empty", async () => {
    expect(await loadProfile(await profileFile(""))).toEqual(parseProfile({}, "defaults"));
  });

  test.each([
    ["camara: none", "camara"],
    ["clock: fast", "clock"],
    ["duration: -1", "duration"],
    ["duration: soon", "duration"],
    ["text: count", "text"],
    ["text: [{seconds: 1}]", "text.0.text"],
    ["seed: 4294967296", "seed"],
    ["serial: {heartbeatMs: 20}", "serial.heartbeatMs"],
    [
      "policy: {actuators: {drive: {speed: {min: 1, max: 0}}}}",
      "policy.actuators.drive.speed: min is greater",
    ],
    ["policy: {actuators: {Drive: {}}}", "policy.actuators.Drive"],
    ["camera: [unclosed", "not YAML"],
    ["- a list", "expected"],
  ])("refuses %j and names the place", async (text, place) => {
    const fault = await faultOf(text);
    expect(fault.message).toContain(place);
    expect(fault.message).toContain("mirror.yaml");
    expect(fault.exitCode).toBe(78);
  });

  test.each([
    ["camera", "banana", /camera: expected file:PATH, v4l2:PATH/],
    ["camera", "v4l2:", /camera: expected/],
    ["microphone", "v4l2:/dev/video0", /microphone: expected file:PATH/],
    ["speaker", "speakers", /speaker: expected file:PATH.wav/],
  ])("refuses %s: %s", (key, value, message) => {
    expect(() => parseProfile({ [key]: value }, "p.yaml")).toThrow(message);
  });

  test("that is not there is told by its path", async () => {
    const fault = await loadProfile("/no/such/profile.yaml").catch((error: unknown) => error as RuntimeError);
    expect(fault).toMatchObject({ code: "invalid-configuration", exitCode: 78 });
  });

  test("has a JSON Schema with every key described", () => {
    const properties = profileJsonSchema().properties as Record<string, { description?: string }>;
    expect(Object.keys(properties)).toEqual(
      expect.arrayContaining(Object.keys(parseProfile({}, "defaults"))),
    );
    for (const [key, value] of Object.entries(properties)) expect(value.description, key).toBeTruthy();
  });
});

describe("microturn config", () => {
  test("check", async () => {
    const io = new CapturedIo();
    expect(await main(["config", "check", await profileFile("backend: cpu")], io)).toBe(0);
    expect(io.stdout).toContain("valid");
    expect(await main(["config", "check", await profileFile("backend: tpu")], io)).toBe(78);
    expect(io.stderr).toContain("backend");
  });

  test("print gives a profile that is valid again", async () => {
    const io = new CapturedIo();
    expect(await main(["config", "print"], io)).toBe(0);
    expect(await loadProfile(await profileFile(io.stdout))).toEqual(parseProfile({}, "defaults"));
  });

  test("schema --json is one line", async () => {
    const io = new CapturedIo();
    expect(await main(["config", "schema", "--json"], io)).toBe(0);
    expect(io.jsonLines()).toHaveLength(1);
  });
});
