import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { serialFrom } from "../../devices/devices.ts";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { shippedParts } from "../../src/cli/parts.ts";
import { main } from "../../src/cli/program.ts";
import { run } from "../../src/cli/run.ts";
import { loadProfile } from "../../src/config/profile.ts";
import { RealClock } from "../../src/core/clock.ts";
import type { MicroTurnInput } from "../../src/core/micro-turn.ts";
import { CapturedIo } from "../cli/io.ts";
import { ScriptedModel, scriptedParts } from "../cli/scripted-model.ts";

vi.setConfig({ testTimeout: 300_000 });

const folder = fileURLToPath(new URL("../../deploy/profiles/", import.meta.url));
const NAMES = ["gym-mirror.yaml", "kiosk.yaml", "robot.yaml"];
const SECONDS = 3;

/** Runs a profile in virtual time, its pages and ports wherever there is room. */
async function session(
  name: string,
): Promise<{ lines: Record<string, unknown>[]; inputs: MicroTurnInput[] }> {
  const model = new ScriptedModel();
  const inputs: MicroTurnInput[] = [];
  const step = model.step.bind(model);
  model.step = (taken) => {
    inputs.push(...taken);
    return step(taken);
  };
  const io = new CapturedIo();
  const anywhere = ["--screen", "127.0.0.1:0", "--health-port", "0"];
  const argv = ["run", join(folder, name), "--clock", "virtual", "--duration", String(SECONDS), "--json"];
  const { command, rest } = findCommand([...argv, ...anywhere]);
  expect(await run(parseInvocation(command, rest, io), scriptedParts(model))).toBe(0);
  return { lines: io.jsonLines(), inputs };
}

/** What a profile's comment on a device names in its place: "v4l2:/dev/video0". */
function alternatives(name: string, key: string): string[] {
  const line = readFileSync(join(folder, name), "utf8")
    .split("\n")
    .find((candidate) => candidate.startsWith(`${key}:`));
  const comment = line?.split(" # ")[1] ?? "";
  return comment.match(/\b(v4l2|gst|pulse|alsa|pipewire):[^\s,;]+/g) ?? [];
}

test("these are the profiles that ship", () => {
  expect(readdirSync(folder).sort()).toEqual(NAMES);
});

describe.each(NAMES)("deploy/profiles/%s", (name) => {
  test("is valid", async () => {
    const io = new CapturedIo();
    expect(await main(["config", "check", join(folder, name)], io)).toBe(0);
    expect(io.stdout).toContain("valid");
  });

  test("names devices that there are, to put in the place of its fakes", async () => {
    const { devices } = await loadProfile(join(folder, name));
    const cameras = alternatives(name, "camera");
    const microphones = alternatives(name, "microphone");
    const speakers = alternatives(name, "speaker");
    for (const spec of cameras) expect(shippedParts.camera(spec, devices)?.recorded).toBe(false);
    for (const spec of microphones)
      expect(shippedParts.microphone(spec, 16_000, devices)?.recorded).toBe(false);
    for (const spec of speakers)
      expect(shippedParts.speaker(spec, new RealClock(), devices).states).toBeDefined();
    expect([cameras, microphones, speakers].map(({ length }) => length)).toEqual([2, 3, 3]);
  });

  test("runs as it is, on fakes", async () => {
    const { lines, inputs } = await session(name);
    expect(lines.at(-1)).toMatchObject({ kind: "end", microTurns: SECONDS * 5, gaps: { count: 0 } });
    const profile = await loadProfile(join(folder, name));
    expect(inputs.every(({ audio }) => audio !== null)).toBe(profile.microphone !== "none");
    expect(inputs.filter(({ frames }) => frames.length > 0)).toHaveLength(
      profile.camera === "none" ? 0 : inputs.length,
    );
    const typed = inputs.flatMap(({ events }) => events.filter(({ kind }) => kind === "text"));
    expect(typed).toEqual(
      profile.text.map(({ seconds, text }) => ({ kind: "text", timeMs: 1000 * seconds, text })),
    );
  });
});

describe("deploy/profiles/robot.yaml", () => {
  test("hears the fake robot, and drives another by its port's name alone", async () => {
    const { lines } = await session("robot.yaml");
    expect(lines[0]).toMatchObject({ kind: "device", device: "serial fake", state: "ready" });
    const { serial, policy } = await loadProfile(join(folder, "robot.yaml"));
    const options = { ...serial, port: "/dev/microturn-board" };
    const board = serialFrom(options, Object.keys(policy.actuators), new RealClock())!;
    expect(board.name).toBe("serial /dev/microturn-board");
    expect(["drive", "light", "fire"].map((command) => board.takes(command))).toEqual([true, true, false]);
  });
});
