import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseMoshiConfig } from "../config.ts";
import { Generation } from "../generation.ts";
import { HIBIKI_GUIDANCE_QUALITY } from "../hibiki.ts";
import type { FrameInput, LanguageModel } from "../language-model.ts";
import { openPublished } from "../tensor-names.ts";
import type { ParityBackend } from "./backend.ts";
import { checkConditions, describedBy, speechConditions } from "./conditions-check.ts";
import { FixtureFile, type Rows } from "./fixture-file.ts";
import { checkImageRun } from "./image-check.ts";
import { LedModel, likeliest, likeliestOfRows } from "./led-model.ts";
import { guidedRuns, type ParitySet } from "./parity-set.ts";
import { checkPromptedRun } from "./personaplex-check.ts";
import { type CheckReport, NumberComparison, TokenComparison } from "./report.ts";
import { LOGIT_TOLERANCE, type SetContext, withModel } from "./set-context.ts";
import { checkSpeechRun, checkStateMachine } from "./text-to-speech-check.ts";

/** Every check that a set's files allow. */
export async function checkLanguageModel(set: ParitySet, backend: ParityBackend): Promise<CheckReport[]> {
  const configPath = join(set.path, "config.json");
  const config = parseMoshiConfig(await readFile(configPath, "utf8"), configPath);
  const tensors = await openPublished(join(set.path, "model.safetensors"));
  try {
    return await runChecks({ set, config, tensors, backend, judged: backend.weights === "f32" });
  } finally {
    await tensors.close();
  }
}

async function runChecks(context: SetContext): Promise<CheckReport[]> {
  const { set, config, tensors } = context;
  const { files } = set;
  const reports: CheckReport[] = [];
  if (files.has("conditions.safetensors")) reports.push(await checkConditions(context));
  if (files.has("state_machine.json")) reports.push(await checkStateMachine(context));
  const conditions = files.has("tts_run.json")
    ? await speechConditions(context)
    : await describedBy(tensors, config);
  const forced = files.has("teacher_forced.safetensors");
  const sees = config.crossAttention === "gated" && files.has("greedy.safetensors");
  if (sees) reports.push(...(await checkImageRun(context)));
  const greedy = files.has("greedy.safetensors") && !sees;
  if (forced || greedy) {
    await withModel(context, { conditions }, async (model) => {
      if (forced) reports.push(await checkTeacherForced(context, model));
      await model.reset();
      if (greedy) reports.push(await checkGreedy(context, "greedy", model));
    });
  }
  for (const { file, coefficient } of guidedRuns(set)) {
    const guidance = { coefficient, conditions: await describedBy(tensors, config, HIBIKI_GUIDANCE_QUALITY) };
    const name = file.replace(".safetensors", "");
    await withModel(context, { conditions, guidance }, async (model) => {
      reports.push(await checkGreedy(context, name, model));
    });
  }
  if (files.has("prompted_run.safetensors")) reports.push(...(await checkPromptedRun(context)));
  if (files.has("tts_run.json")) reports.push(await checkSpeechRun(context, conditions));
  return reports;
}

/** Column t of a (rows, steps) matrix. */
function column(matrix: Rows<Int32Array>, t: number): Int32Array {
  return Int32Array.from({ length: matrix.count }, (_, row) => matrix.at(row)[t]!);
}

function checkTeacherForced({ set, config, judged }: SetContext, model: LanguageModel): Promise<CheckReport> {
  return FixtureFile.with(join(set.path, "teacher_forced.safetensors"), async (file) => {
    const { nQ, depQ, extraHeads, textCardOut, card } = config;
    const delayed = await file.tokens("delayed", [1 + nQ, null]);
    const steps = file.shape("delayed", 2)[1]! - 1;
    const limit = judged ? LOGIT_TOLERANCE : null;
    const outputs = [
      { name: "text_logits", shape: [steps, textCardOut], isThere: true },
      { name: "transformer_out", shape: [steps, config.temporal.dim], isThere: true },
      { name: "dep_logits", shape: [steps, depQ, card], isThere: depQ > 0 },
      {
        name: "extra_heads",
        shape: [steps, extraHeads.count, extraHeads.classes],
        isThere: extraHeads.count > 0,
      },
    ].filter(({ isThere }) => isThere);
    const expected = await Promise.all(outputs.map(({ name, shape }) => file.numbers(name, shape)));
    const compared = outputs.map(({ name }) => new NumberComparison(name, limit));
    const choices = new TokenComparison("likeliest", false);
    for (let t = 0; t < steps; t++) {
      const next = column(delayed, t + 1);
      const input: FrameInput = { tokens: column(delayed, t), inspect: true };
      if (depQ > 0) Object.assign(input, { text: next[0], audio: [...next.subarray(1, 1 + depQ)] });
      const { inspected, extraHeads } = await model.frame(input);
      const { textLogits, transformerOut, depthLogits } = inspected!;
      const actual = {
        text_logits: textLogits,
        transformer_out: transformerOut,
        dep_logits: depthLogits,
        extra_heads: extraHeads,
      };
      for (const [i, { name }] of outputs.entries()) {
        const original = expected[i]!.at(t);
        compared[i]!.add(actual[name as keyof typeof actual], original, `step ${t}`);
        if (name === "text_logits")
          choices.addOne(likeliest(textLogits), likeliest(original), `step ${t}, text`);
        if (name === "dep_logits")
          choices.add(likeliestOfRows(depthLogits, card), likeliestOfRows(original, card), `step ${t}`);
      }
    }
    // Where the logits are within their tolerance the choices follow from them.
    const told = judged ? compared : [...compared, choices];
    return { set: set.name, check: "teacher-forced", outputs: told.map((output) => output.report()) };
  });
}

function checkGreedy(context: SetContext, name: string, model: LanguageModel): Promise<CheckReport> {
  const { set, config, judged } = context;
  return FixtureFile.with(join(set.path, `${name}.safetensors`), async (file) => {
    const { nQ, depQ, textCardOut } = config;
    const user = await file.tokens("user_tokens", [null, nQ - depQ]);
    const steps = user.count;
    const returned = await file.tokens("returned", [steps, 1 + depQ]);
    const valid = await file.tokens("returned_valid", [steps]);
    const texts = await file.tokens("sampled_text", [steps]);
    const audio = depQ > 0 ? await file.tokens("sampled_audio", [steps, depQ]) : null;
    const logits = await file.numbers("text_logits", [steps, textCardOut]);
    const compared = {
      logits: new NumberComparison("text_logits", judged ? LOGIT_TOLERANCE : null),
      sampled: new TokenComparison("sampled", judged),
      returned: new TokenComparison("returned", judged),
    };
    const said = (t: number) => ({ text: texts.all[t]!, audio: audio?.at(t) ?? [] });
    const led = new LedModel(model, said);
    const generation = new Generation(judged ? model : led, config);
    // After a token of its own a run is another one: what follows is not compared, unless it is led.
    for (let t = 0; t < steps && !(judged && compared.sampled.hasDiffered); t++) {
      const place = `step ${t}`;
      const { frame, sampled } = await generation.step(user.at(t), { inspect: true });
      const own = judged ? sampled : led.own;
      compared.logits.add(sampled.inspected!.textLogits, logits.at(t), place);
      compared.sampled.addOne(own.text, texts.all[t]!, `${place}, text`);
      if (audio) compared.sampled.add(own.audio, audio.at(t), place);
      const nothing = new Int32Array(1 + depQ).fill(-2);
      compared.returned.add(frame ?? nothing, valid.all[t] === 1 ? returned.at(t) : nothing, place);
    }
    // What comes out of a run that is led is what was put into it.
    const told = judged ? Object.values(compared) : [compared.logits, compared.sampled];
    return { set: set.name, check: name, outputs: told.map((output) => output.report()) };
  });
}
