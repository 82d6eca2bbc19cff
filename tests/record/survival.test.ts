import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { RecordedStep } from "../../src/record/format.ts";
import { Recording } from "../../src/record/reader.ts";
import { randomSteps } from "./random-steps.ts";

const CHILD = fileURLToPath(new URL("./recording-child.ts", import.meta.url));

/** A child starts within seconds, or within a minute on a machine that has other things to do. */
vi.setConfig({ testTimeout: 300_000 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "survival-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The recording child; `limit` stands before it in the shell, `rest` behind its arguments. */
function start(
  path: string,
  count: number,
  { limit = "", rest = "" },
): { child: ChildProcess; output: () => string } {
  const command = `${limit} exec "$0" --import tsx "$1" "$2" ${count} ${rest}`;
  const child = spawn("sh", ["-c", command, process.execPath, CHILD, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return { child, output: () => output };
}

/** The steps that can be read of a file, also while it is being written. */
async function stepsIn(path: string): Promise<{ steps: RecordedStep[]; torn: boolean }> {
  const steps: RecordedStep[] = [];
  try {
    const recording = await Recording.open(path);
    for await (const entry of recording.entries()) if (entry.kind === "step") steps.push(entry.step);
    return { steps, torn: recording.tear !== null };
  } catch {
    // Not yet begun.
    return { steps, torn: true };
  }
}

test("a recording is on disk while it goes on, and a kill -9 takes only what came last", async () => {
  const path = join(folder, "killed.mcap");
  // Some 100 bytes to a few kilobytes a step: far from a full chunk, so that only time can close one.
  const { child, output } = start(path, 60, { rest: "and-wait" });
  const ended = once(child, "exit");
  let written = 0;
  while (written < 40) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(child.exitCode, output()).toBeNull();
    written = (await stepsIn(path)).steps.length;
  }
  child.kill("SIGKILL");
  expect(await ended).toEqual([null, "SIGKILL"]);
  const { steps, torn } = await stepsIn(path);
  expect(torn).toBe(true);
  expect(steps.length).toBeGreaterThanOrEqual(written);
  expect(steps).toEqual(randomSteps({ count: steps.length }));
});

test("a full disk stops the recording with a message, and the process goes on", async () => {
  const path = join(folder, "full.mcap");
  // In blocks of 512 or of 1024 bytes, by shell: 200 or 400 kB of the 700 that 300 steps take, and of the 60 of one flush.
  const { child, output } = start(path, 300, { limit: "ulimit -f 400;" });
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(output()).toMatch(/stopped: recording: .*full\.mcap could not be written: EFBIG.*Free some space/);
  expect(output()).toMatch(/\n300\nclosed, stopped\n$/);
  const { steps } = await stepsIn(path);
  expect(steps.length).toBeGreaterThan(0);
  expect(steps).toEqual(randomSteps({ count: steps.length }));
});
