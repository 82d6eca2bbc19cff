import { expect, test } from "vitest";
import { type Check, examine } from "../../src/cli/doctor.ts";
import { main } from "../../src/cli/program.ts";
import { describeOnGpu } from "../kernels/harness.ts";
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

describeOnGpu("doctor --model moshi:NAME", () => {
  test("says for a format what a frame takes here, from what the adapter does and the model's shapes", async () => {
    const io = new CapturedIo();
    expect(await main(["doctor", "--model", "moshi:stt-1b", "--weights", "q8", "--json"], io)).toBe(0);
    const checks = byName(io.jsonLines() as unknown as Check[]);
    expect(Object.keys(checks)).toEqual(["adapter", "fit q8"]);
    expect(checks.adapter?.detail).toMatch(/: copies [\d.]+ GB\/s, a dispatch costs [\d.]+ us$/);
    const [, ms, factor] = /([\d.]+) of 80 ms a frame, ([\d.]+) times real time/.exec(
      checks["fit q8"]!.detail,
    )!;
    expect(Number(factor)).toBeCloseTo(80 / Number(ms), 1);
    expect(checks["fit q8"]?.state === "ok").toBe(Number(ms) <= 72);
  }, 120_000);
});

test.each([
  [["--model", "moshi:no-such-model"], /released|moshi: and a folder|hibiki-1b/],
  [["--model", "native"], /no model of the Moshi family/],
  [["--model", "moshi:stt-1b", "--weights", "q5"], /--weights q5 is not known/],
])("doctor %j is refused, with what is known", async (args, message) => {
  const io = new CapturedIo();
  expect(await main(["doctor", ...args], io)).toBe(2);
  expect(io.stderr).toMatch(message);
});
