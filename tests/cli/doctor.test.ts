import { expect, test } from "vitest";
import { type Check, examine } from "../../src/cli/doctor.ts";
import { main } from "../../src/cli/program.ts";
import { CapturedIo } from "./io.ts";

/** Runs `work` with another PATH, in which no program is found. */
async function withoutPrograms<T>(work: () => Promise<T>): Promise<T> {
  const path = process.env.PATH;
  process.env.PATH = "/nowhere";
  try {
    return await work();
  } finally {
    process.env.PATH = path;
  }
}

function byName(checks: readonly Check[]): Record<string, Check> {
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

test("doctor --json says the state of every part and what to do about each fault", async () => {
  const io = new CapturedIo();
  const status = await main(["doctor", "--json"], io);
  const checks = io.jsonLines() as unknown as Check[];
  const names = [
    "node",
    "memory",
    "ffmpeg",
    "ffprobe",
    "voice",
    "camera",
    "microphone",
    "speaker",
    "serial",
    "gpu",
    "cpu",
    "checkpoint",
    "backend",
  ];
  // A machine may have several devices of a kind: each has its line.
  expect([...new Set(checks.map(({ name }) => name))]).toEqual(names);
  expect(byName(checks).node).toMatchObject({
    state: "ok",
    detail: expect.stringContaining(process.version),
  });
  expect(byName(checks).cpu).toMatchObject({
    state: "ok",
    detail: expect.stringContaining("onnxruntime-node 1."),
  });
  const faults = checks.filter(({ state }) => state === "fault");
  expect(status).toBe(faults.length > 0 ? 69 : 0);
});

test("a program that is missing is a warning with a remedy", async () => {
  const checks = byName(await withoutPrograms(examine));
  for (const name of ["ffmpeg", "ffprobe", "voice"]) {
    expect(checks[name]).toMatchObject({
      state: "warning",
      detail: expect.stringContaining("is not installed"),
      remedy: expect.stringContaining("deploy/setup.sh"),
    });
  }
});
