import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { shippedParts } from "../../src/cli/parts.ts";
import { profileOf } from "../../src/cli/profile-options.ts";
import { writeRandomCheckpoint } from "../models/native/random-checkpoint.ts";

/** Stands for CHECK=1, which is read when a program starts. */
vi.mock("../../src/gpu/kernel-check.ts", async (importOriginal) => ({
  ...(await importOriginal<typeof import("../../src/gpu/kernel-check.ts")>()),
  checkRequested: true,
}));

const folder = mkdtempSync(join(tmpdir(), "check-requested-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What is told on stderr while `work` runs. */
async function toldBy(work: () => Promise<unknown>): Promise<string> {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    await work();
    return stderr.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    stderr.mockRestore();
  }
}

test("CHECK=1 says so where there is nothing that it compares", async () => {
  await writeRandomCheckpoint(folder);
  const onCpu = await toldBy(async () => {
    const model = await shippedParts.loadModel(profileOf({ model: folder, backend: "cpu" }));
    await model.close();
  });
  expect(onCpu).toContain("warning: kernel check: CHECK=1 has nothing to compare on the CPU backend");
  const moshi = await toldBy(() =>
    shippedParts.loadModel(profileOf({ model: `moshi:${join(folder, "absent")}` })).catch(() => {}),
  );
  expect(moshi).toContain("warning: kernel check: CHECK=1 is for the native model; microturn parity DIR");
});
