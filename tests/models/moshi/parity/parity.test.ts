import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isWithin, runParity, type SetReport } from "../../../../models/moshi/parity/parity.ts";
import { findParitySets } from "../../../../models/moshi/parity/parity-set.ts";
import type { OutputReport } from "../../../../models/moshi/parity/report.ts";
import { main } from "../../../../src/cli/program.ts";
import { CapturedIo } from "../../../cli/io.ts";
import { describeOnGpu } from "../../../kernels/harness.ts";
import { describeWithFixture } from "../fixtures.ts";
import { SMALL } from "../gpu/random-checkpoint.ts";
import { referenceBackend, type SetValues, type SmallSet, STEPS, smallSet, writeSet } from "./small-set.ts";

let folder: string;
let right: SmallSet;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microturn-parity-"));
  right = await smallSet();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A new set, after `spoil` has had its way with what it says that the original gave. */
async function setWith(spoil: (set: SmallSet) => void = () => {}): Promise<string> {
  const set = structuredClone(right);
  spoil(set);
  const path = join(folder, `set-${count++}`);
  await writeSet(path, set);
  return path;
}

/** Puts another value in the place of one. */
function change({ data }: SetValues, i: number, to: (value: number) => number): void {
  if (data instanceof BigInt64Array) data[i] = BigInt(to(Number(data[i])));
  else data[i] = to(data[i]!);
}

async function reportOf(path: string, weights: "f32" | "q8" = "f32"): Promise<SetReport> {
  const [set] = await findParitySets(path);
  return runParity(set!, referenceBackend(SMALL, weights));
}

function outputsOf(report: SetReport): Record<string, OutputReport> {
  const rows = report.checks.flatMap(({ check, outputs }) =>
    outputs.map((output) => [`${check} ${output.output}`, output] as const),
  );
  return Object.fromEntries(rows);
}

describe("a set of the layout", () => {
  test("that was computed by the same network is within every tolerance, to the last bit", async () => {
    const report = await reportOf(await setWith());
    const outputs = outputsOf(report);
    expect(Object.keys(outputs)).toEqual([
      "teacher-forced text_logits",
      "teacher-forced transformer_out",
      "teacher-forced dep_logits",
      "greedy text_logits",
      "greedy sampled",
      "greedy returned",
    ]);
    expect(isWithin(report)).toBe(true);
    expect(outputs["teacher-forced dep_logits"]).toMatchObject({
      largest: 0,
      compared: STEPS * 2 * SMALL.card,
    });
    expect(outputs["greedy sampled"]).toMatchObject({ firstDifference: null, compared: STEPS * 3 });
  });

  test("fails for one logit past the tolerance, and says which", async () => {
    const report = await reportOf(
      await setWith(({ teacherForced }) => {
        change(teacherForced.text_logits!, 3 * SMALL.text_card + 7, (value) => value + 2e-4);
      }),
    );
    expect(isWithin(report)).toBe(false);
    const output = outputsOf(report)["teacher-forced text_logits"]!;
    expect(output).toMatchObject({ ok: false, at: "step 3, element 7" });
    expect(output.kind === "numbers" && output.largest).toBeCloseTo(2e-4, 5);
  });

  test("fails for what is no number", async () => {
    const report = await reportOf(
      await setWith(({ teacherForced }) => {
        change(teacherForced.dep_logits!, 5, () => Number.NaN);
      }),
    );
    expect(outputsOf(report)["teacher-forced dep_logits"]).toMatchObject({ ok: false, largest: Number.NaN });
  });

  test("fails for one other token; what follows is not compared", async () => {
    const path = await setWith(({ greedy }) => {
      change(greedy.sampled_audio!, 4 * 2 + 1, (token) => token + 1);
    });
    const report = await reportOf(path);
    expect(isWithin(report)).toBe(false);
    const output = outputsOf(report)["greedy sampled"]!;
    expect(output).toMatchObject({ ok: false, compared: 5 * 3, firstDifference: { at: "step 4, row 1" } });
    // Of coarser weights it is only told.
    expect(isWithin(await reportOf(path, "q8"))).toBe(true);
  });

  test("of coarser weights it says how far every logit and how many choices are off", async () => {
    const { text_card: textCard, dep_q: depQ, card } = SMALL;
    const path = await setWith(({ teacherForced, greedy }) => {
      // One choice becomes another, and by how much is known.
      change(teacherForced.text_logits!, 3 * textCard + 7, (value) => value + 300);
      change(teacherForced.transformer_out!, 1, (value) => value - 8);
      // A run that said something else once: the network is led through it and is compared to its end.
      change(greedy.sampled_audio!, 4 * depQ + 1, (token) => (token + 1) % card);
    });
    const report = await reportOf(path, "q8");
    const outputs = outputsOf(report);
    expect(Object.keys(outputs)).toEqual([
      "teacher-forced text_logits",
      "teacher-forced transformer_out",
      "teacher-forced dep_logits",
      "teacher-forced likeliest",
      "greedy text_logits",
      "greedy sampled",
    ]);
    const text = outputs["teacher-forced text_logits"]!;
    expect(text.kind === "numbers" && text.rms).toBeCloseTo(300 / Math.sqrt(STEPS * textCard), 3);
    const out = outputs["teacher-forced transformer_out"]!;
    expect(out.kind === "numbers" && out.rms).toBeCloseTo(8 / Math.sqrt(STEPS * SMALL.dim), 4);
    expect(outputs["teacher-forced likeliest"]).toMatchObject({
      compared: STEPS * (1 + depQ),
      same: STEPS * (1 + depQ) - 1,
      firstDifference: { at: "step 3, text", expected: 7 },
    });
    expect(outputs["greedy sampled"]).toMatchObject({
      compared: STEPS * (1 + depQ),
      firstDifference: { at: "step 4, row 1" },
    });
    expect(isWithin(report)).toBe(true);
  });

  test("fails where a frame comes out too early", async () => {
    const report = await reportOf(
      await setWith(({ greedy }) => {
        change(greedy.returned_valid!, 2, () => 0);
      }),
    );
    expect(outputsOf(report)["greedy returned"]).toMatchObject({ ok: false });
    expect(isWithin(report)).toBe(false);
  });

  test.each([
    ["another shape", "text_logits", "text_logits is [10,18], expected [10,19]"],
    ["a tensor that is absent", "delayed", "delayed is [absent], expected 2 dimensions"],
    ["another type", "sampled", "is of type F32, expected I32 or I64"],
  ])("with %s is refused", async (fault, _, message) => {
    const path = await setWith(({ teacherForced, greedy }) => {
      if (fault === "another shape") {
        teacherForced.text_logits = { shape: [STEPS, 18], data: new Float32Array(STEPS * 18) };
      } else if (fault === "another type")
        greedy.user_tokens = { shape: [STEPS, 1], data: new Float32Array(STEPS) };
      else delete teacherForced.delayed;
    });
    await expect(reportOf(path)).rejects.toThrow(message);
  });

  test("with a token beyond 32 bits is refused", async () => {
    const path = await setWith(({ greedy }) => {
      change(greedy.user_tokens!, 0, () => 2 ** 33);
    });
    await expect(reportOf(path)).rejects.toThrow("beyond 32 bits");
  });
});

describe("looking for sets", () => {
  test("finds every one below a folder, in order", async () => {
    const root = join(folder, "tree");
    for (const name of ["b/two", "a/one"]) await writeSet(join(root, name), right);
    await mkdir(join(root, "c/nothing"), { recursive: true });
    expect((await findParitySets(root)).map(({ name, kind }) => [name, kind])).toEqual([
      ["a/one", "language-model"],
      ["b/two", "language-model"],
    ]);
    const linked = join(folder, "linked");
    await mkdir(linked);
    for (const file of ["config.json", "model.safetensors", "greedy.safetensors"]) {
      await symlink(join(root, "a/one", file), join(linked, file));
    }
    expect(await findParitySets(linked)).toHaveLength(1);
  });

  test.each([
    [["greedy.safetensors"], "lacks config.json and model.safetensors"],
    [["config.json", "model.safetensors"], "lacks outputs to compare with"],
    [["io.safetensors"], "lacks mimi_config.json and model.safetensors or tensors.json"],
    [["config.json", "model.safetensors", "tts_run.json"], "lacks tts_run.safetensors and voice.safetensors"],
    [[], "holds no set"],
  ])("says of %j what is missing", async (files, message) => {
    const path = join(folder, `incomplete-${count++}`);
    await mkdir(path);
    for (const file of files) await writeFile(join(path, file), "");
    await expect(findParitySets(path)).rejects.toThrow(message);
  });

  test("says that there is no such folder", async () => {
    const io = new CapturedIo();
    expect(await main(["parity", join(folder, "nowhere")], io)).toBe(69);
    expect(io.stderr).toContain("nowhere cannot be read");
  });
});

/** A software adapter compiles for half a minute where other work has the processor. */
const SLOW_MS = 240_000;

describeOnGpu("microturn parity", () => {
  test(
    "says how far the kernels are from the original, with status 0 or 1",
    async () => {
      const io = new CapturedIo();
      const path = await setWith();
      expect(await main(["parity", path], io)).toBe(0);
      expect(io.stdout).toMatch(/^on .+, weights f32\n/);
      expect(io.stdout).toContain("30 tokens identical");

      const wrong = new CapturedIo();
      const changed = await setWith(({ teacherForced }) => {
        change(teacherForced.transformer_out!, 0, (value) => value + 1);
      });
      expect(await main(["parity", changed], wrong)).toBe(1);
      expect(wrong.stdout).toMatch(/transformer_out .*at step 0, element 0 +PAST TOLERANCE/);
      expect(wrong.stderr).toContain("not within the tolerances");
    },
    SLOW_MS,
  );

  test(
    "reports coarser weights without judging them, as JSON",
    async () => {
      const io = new CapturedIo();
      expect(await main(["parity", await setWith(), "--weights", "q8", "--json"], io)).toBe(0);
      const lines = io.jsonLines();
      expect(lines).toHaveLength(6);
      expect(lines[0]).toMatchObject({
        set: ".",
        weights: "q8",
        check: "teacher-forced",
        output: "text_logits",
        tolerance: null,
      });
      expect(lines[0]!.largest).toBeGreaterThan(1e-4);
      expect(lines[0]!.rms).toBeGreaterThan(1e-5);
      expect(lines[0]!.rms).toBeLessThan(lines[0]!.largest as number);
      expect(lines[3]).toMatchObject({ output: "likeliest", compared: 30, judged: false });
    },
    SLOW_MS,
  );
});

/** The sets that need more than a plain greedy run; the others are run in generation.test.ts. */
for (const name of ["a/personaplex", "b/lm_moshivis", "b/lm_tts"]) {
  describeWithFixture(name, (fixture) => {
    test(
      "every check of the set, by the double-precision network",
      async () => {
        const json = fixture.json("config.json") as Record<string, unknown>;
        const [set] = await findParitySets(fixture.path);
        const report = await runParity(set!, referenceBackend(json));
        expect(report).toMatchObject({ checks: expect.anything() });
        const wrong = Object.entries(outputsOf(report)).filter(([, { ok }]) => !ok);
        expect(wrong).toEqual([]);
        expect(Object.keys(outputsOf(report)).length).toBeGreaterThanOrEqual(4);
        // Led through the run, it says all of it by itself.
        const led = outputsOf(await runParity(set!, referenceBackend(json, "q8")));
        const tokens = Object.entries(led).filter(([, { kind }]) => kind === "tokens");
        expect(tokens.length).toBeGreaterThanOrEqual(2);
        for (const [name, output] of tokens) expect(output, name).toMatchObject({ firstDifference: null });
      },
      SLOW_MS,
    );
  });
}
