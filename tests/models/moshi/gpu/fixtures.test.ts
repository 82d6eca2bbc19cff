import { expect, it } from "vitest";
import { parseMoshiConfig } from "../../../../models/moshi/config.ts";
import { Generation } from "../../../../models/moshi/generation.ts";
import {
  createLanguageModel,
  type GpuLanguageModel,
} from "../../../../models/moshi/gpu/gpu-language-model.ts";
import type { Conditions, LanguageModelOptions } from "../../../../models/moshi/language-model.ts";
import { PersonaPlex, personaPlexWindow } from "../../../../models/moshi/personaplex.ts";
import type { ScriptEntry } from "../../../../models/moshi/text-to-speech/script.ts";
import { TextToSpeech } from "../../../../models/moshi/text-to-speech/text-to-speech.ts";
import { openSafetensors } from "../../../../models/tensors/safetensors.ts";
import type { Gpu } from "../../../../src/gpu/device.ts";
import { describeOnGpu } from "../../../kernels/harness.ts";
import { column, describeWithFixture, expectWithin, type FixtureSet, rowOf } from "../fixtures.ts";

/** What the sets ask of a computation in f32: their own f32 logits, of deviation 2 to 5, are off by up to 3e-5. */
const LIMIT = 1e-4;

/** Some ten thousand dispatches on a software adapter, beside whatever else the machine does. */
const TIMEOUT_MS = 240_000;

const GREEDY = { temperature: 0, topK: 0 };

async function withModel(
  gpu: Gpu,
  fixture: FixtureSet,
  options: Partial<LanguageModelOptions> & { format?: "f32" | "f16"; cacheFormat?: "f32" | "f16" },
  use: (model: GpuLanguageModel, config: ReturnType<typeof parseMoshiConfig>) => Promise<void>,
): Promise<void> {
  const config = parseMoshiConfig(JSON.stringify(fixture.json("config.json")), fixture.path);
  const tensors = await openSafetensors(`${fixture.path}model.safetensors`);
  const model = await createLanguageModel(gpu, config, tensors, {
    format: "f32",
    text: GREEDY,
    audio: GREEDY,
    seed: 1,
    ...options,
  });
  try {
    await use(model, config);
  } finally {
    await model.close();
    await tensors.close();
  }
}

/** What a set was computed with. */
function conditionsOf(set: string, fixture: FixtureSet): Conditions {
  const value = (name: string) => Float32Array.from(fixture.tensors("conditions.safetensors")(name).data);
  if (set === "b/lm_hibiki") return { sum: value("very_good") };
  if (set === "b/lm_tts") return { sum: value("sum"), cross: value("cross") };
  return {};
}

describeOnGpu("against the original", (gpu) => {
  for (const set of ["a/lm", "b/lm_hibiki", "b/lm_hibiki_zero", "b/lm_stt", "b/lm_tts"]) {
    describeWithFixture(set, (fixture) => {
      it("teacher-forced: outputs and logits", { timeout: TIMEOUT_MS }, async () => {
        const expected = fixture.tensors("teacher_forced.safetensors");
        const delayed = expected("delayed");
        const steps = delayed.shape[1]! - 1;
        await withModel(gpu, fixture, { conditions: conditionsOf(set, fixture) }, async (model, config) => {
          expect(steps).toBeGreaterThan(config.context);
          for (let t = 0; t < steps; t++) {
            const next = column(delayed, t + 1);
            const { inspected, extraHeads } = await model.frame({
              tokens: column(delayed, t),
              text: next[0]!,
              audio: [...next.subarray(1, 1 + config.depQ)],
              inspect: true,
            });
            expectWithin(inspected!.textLogits, rowOf(expected("text_logits"), t), LIMIT);
            expectWithin(inspected!.transformerOut, rowOf(expected("transformer_out"), t), LIMIT);
            if (config.depth) expectWithin(inspected!.depthLogits, rowOf(expected("dep_logits"), t), LIMIT);
            if (config.extraHeads.count > 0)
              expectWithin(extraHeads, rowOf(expected("extra_heads"), t), LIMIT);
          }
        });
      });
    });
  }

  for (const [set, file] of [
    ["a/lm", "greedy"],
    ["b/lm_hibiki", "greedy"],
    ["b/lm_hibiki", "greedy_cfg3"],
    ["b/lm_hibiki_zero", "greedy"],
    ["b/lm_stt", "greedy"],
  ] as const) {
    describeWithFixture(set, (fixture) => {
      it(`${file}: token for token`, { timeout: TIMEOUT_MS }, async () => {
        const expected = fixture.tensors(`${file}.safetensors`);
        const bad = () => Float32Array.from(fixture.tensors("conditions.safetensors")("very_bad").data);
        const options = {
          conditions: conditionsOf(set, fixture),
          ...(file === "greedy_cfg3" ? { guidance: { coefficient: 3, conditions: { sum: bad() } } } : {}),
        };
        await withModel(gpu, fixture, options, async (model, config) => {
          const generation = new Generation(model, config);
          for (let t = 0; t < 48; t++) {
            const { frame, sampled } = await generation.step(rowOf(expected("user_tokens"), t), {
              inspect: true,
            });
            expect(sampled.text).toBe(expected("sampled_text").data[t]);
            if (config.depth) expect([...sampled.audio]).toEqual([...rowOf(expected("sampled_audio"), t)]);
            expectWithin(sampled.inspected!.textLogits, rowOf(expected("text_logits"), t), LIMIT);
            expect(frame !== null).toBe(expected("returned_valid").data[t] === 1);
            if (frame) expect([...frame]).toEqual([...rowOf(expected("returned"), t)]);
          }
        });
      });
    });
  }

  describeWithFixture("a/personaplex", (fixture) => {
    it("a prompted session: tokens and logits", { timeout: TIMEOUT_MS }, async () => {
      const run = fixture.tensors("prompted_run.safetensors");
      const rows = (name: string) =>
        Array.from({ length: run(name).shape[0]! }, (_, t) => rowOf(run(name), t));
      const window = personaPlexWindow(32);
      await withModel(gpu, fixture, { window }, async (model, config) => {
        const personaPlex = new PersonaPlex(model, config, {
          depthSteps: 16,
          silence: [...run("silence").data],
          sine: [...run("sine").data],
        });
        const prompt = { voice: rows("voice_codes"), text: [...run("text_prompt").data] };
        const steps = [];
        for await (const step of personaPlex.prompt(prompt, { inspect: true })) steps.push(step);
        for (const user of rows("user_codes")) steps.push(await personaPlex.step(user, { inspect: true }));
        const returned = rows("returned").map((row) => (row[0] === -2 ? null : [...row]));
        expect(steps.map(({ frame }) => frame && [...frame])).toEqual(returned);
        const present = steps.filter((_, t) => run("logits_present").data[t] === 1);
        expect(present.length).toBe(57);
        for (const [i, { sampled }] of present.entries()) {
          expectWithin(sampled!.inspected!.textLogits, rowOf(run("text_logits"), i), LIMIT);
          // The original's 16th depth step does not see the first, which is of no matter to the agent: it is left out.
          const seen = 15 * config.card;
          const audio = rowOf(run("audio_logits"), i).subarray(0, seen);
          expectWithin(sampled!.inspected!.depthLogits.subarray(0, seen), audio, LIMIT);
        }
      });
    });
  });

  describeWithFixture("b/lm_tts", (fixture) => {
    it("a whole utterance, frame for frame", { timeout: TIMEOUT_MS }, async () => {
      const run = fixture.json("tts_run.json") as {
        entries: ScriptEntry[];
        end_step: number;
        padding_bonus: number;
      };
      const expected = fixture.tensors("tts_run.safetensors");
      const options = { conditions: conditionsOf("b/lm_tts", fixture), textPaddingBonus: run.padding_bonus };
      await withModel(gpu, fixture, options, async (model, config) => {
        const { audioDelaySeconds, secondStreamAhead } = config.tts!;
        const speech = new TextToSpeech(model, { ...config, tts: { audioDelaySeconds, secondStreamAhead } });
        speech.push(run.entries);
        speech.end();
        const frames: number[][] = [];
        const texts: number[] = [];
        while (!speech.isDone) {
          const step = await speech.step();
          texts.push(step!.sampledText);
          if (step!.frame) frames.push([...step!.frame]);
        }
        expect(speech.endStep).toBe(run.end_step);
        expect(texts).toEqual([...expected("text_predicted").data]);
        expect(frames).toEqual(Array.from({ length: 104 }, (_, t) => [...rowOf(expected("frames"), t)]));
      });
    });
  });

  describeWithFixture("a/lm", (fixture) => {
    it.each([
      ["f32 over a cache of f16", { format: "f32", cacheFormat: "f16" }],
      ["f16", { format: "f16" }],
    ] as const)(
      "in %s, which the sets do not judge: reported",
      { timeout: TIMEOUT_MS },
      async (held, options) => {
        const expected = fixture.tensors("teacher_forced.safetensors");
        const delayed = expected("delayed");
        let worst = 0;
        await withModel(gpu, fixture, options, async (model, config) => {
          for (let t = 0; t < 24; t++) {
            const next = column(delayed, t + 1);
            const audio = [...next.subarray(1, 1 + config.depQ)];
            const { inspected } = await model.frame({
              tokens: column(delayed, t),
              text: next[0]!,
              audio,
              inspect: true,
            });
            const logits = rowOf(expected("dep_logits"), t);
            for (const [i, logit] of inspected!.depthLogits.entries())
              worst = Math.max(worst, Math.abs(logit - logits[i]!));
          }
        });
        process.stdout.write(`a/lm in ${held}: depth logits are off by up to ${worst.toExponential(1)}\n`);
        expect(worst).toBeGreaterThan(0);
        // Deviation 5, half a unit of the eleventh bit in each of some dozen layers' operands.
        expect(worst).toBeLessThan(0.1);
      },
    );
  });
});
