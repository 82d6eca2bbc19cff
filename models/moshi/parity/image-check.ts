import { join } from "node:path";
import { Generation } from "../generation.ts";
import type { LanguageModel } from "../language-model.ts";
import { FixtureFile } from "./fixture-file.ts";
import { LedModel, likeliest, likeliestOfRows, type StepTokens } from "./led-model.ts";
import { type CheckReport, NumberComparison, TokenComparison } from "./report.ts";
import { LOGIT_TOLERANCE, type SetContext, withModel } from "./set-context.ts";

/** A greedy run of a model that sees, and the same without its image. */
export function checkImageRun(context: SetContext): Promise<CheckReport[]> {
  const { config, set } = context;
  return FixtureFile.with(join(set.path, "greedy.safetensors"), async (file) => {
    const image = await file.numbers("image_tokens", [null, config.temporal.dim]);
    return withModel(context, { maxImageTokens: image.count }, async (model) => {
      const seeing = await checkSeeing(context, file, model, image.all);
      await model.reset();
      return [seeing, await checkBlind(context, file, model)];
    });
  });
}

async function checkSeeing(
  { set, config, judged }: SetContext,
  file: FixtureFile,
  model: LanguageModel,
  image: Float32Array,
): Promise<CheckReport> {
  const { nQ, depQ, textCardOut, card } = config;
  const user = await file.tokens("user_tokens", [null, nQ - depQ]);
  const steps = user.count;
  const returned = await file.tokens("returned", [steps, 1 + depQ]);
  const textLogits = await file.numbers("text_logits", [steps, textCardOut]);
  const audioLogits = await file.numbers("audio_logits", [steps, depQ, card]);
  const weights = (await file.numbers("gate_weight", [steps])).all;
  const limit = judged ? LOGIT_TOLERANCE : null;
  const compared = {
    text: new NumberComparison("text_logits", limit),
    audio: new NumberComparison("audio_logits", limit),
    gates: new NumberComparison("gate_weight", limit),
    sampled: new TokenComparison("sampled", judged),
    returned: new TokenComparison("returned", judged),
  };
  const said = (t: number): StepTokens => ({
    text: likeliest(textLogits.at(t)),
    audio: likeliestOfRows(audioLogits.at(t), card),
  });
  const led = new LedModel(model, said);
  const generation = new Generation(judged ? model : led, config);
  const first = firstSight(weights, config.delays);
  for (let t = 0; t < steps && !(judged && compared.sampled.hasDiffered); t++) {
    const place = `step ${t}`;
    const shown = t === first ? { image } : {};
    const { frame, sampled } = await generation.step(user.at(t), { inspect: true, ...shown });
    const { textLogits: text, depthLogits } = sampled.inspected!;
    const own = judged ? sampled : led.own;
    const original = said(t);
    compared.text.add(text, textLogits.at(t), place);
    compared.audio.add(depthLogits, audioLogits.at(t), place);
    compared.sampled.addOne(own.text, original.text, `${place}, text`);
    compared.sampled.add(own.audio, original.audio, place);
    compared.returned.add(frame ?? new Int32Array(1 + depQ).fill(-2), returned.at(t), place);
    // The original tells it with a frame alone.
    if (frame) compared.gates.add([sampled.gateOpening ?? 0], [weights[t]!], place);
  }
  const { text, audio, gates, sampled, returned: frames } = compared;
  // What comes out of a run that is led is what was put into it.
  const told = judged ? [text, audio, gates, sampled, frames] : [text, audio, gates, sampled];
  return { set: set.name, check: "greedy", outputs: told.map((output) => output.report()) };
}

/**
 * The step from which on the image was there. Gates are never quite shut, but while the first frames are on their way the
 * original tells of none: a run in which they are open from the first frame on had its image from the start.
 */
function firstSight(weights: Float32Array, delays: readonly number[]): number {
  const first = weights.findIndex((weight) => weight > 0);
  return first <= Math.max(...delays) ? 0 : first;
}

/** Without an image it is a Moshi: what it gives out is known, and its tokens follow from that. */
async function checkBlind(
  { set, config, judged }: SetContext,
  file: FixtureFile,
  model: LanguageModel,
): Promise<CheckReport> {
  const user = await file.tokens("user_tokens", [null, config.nQ - config.depQ]);
  const returned = await file.tokens("returned_no_image", [user.count, 1 + config.depQ]);
  const compared = new TokenComparison("returned_no_image", judged);
  const generation = new Generation(model, config);
  for (let t = 0; t < user.count && !compared.hasDiffered; t++) {
    const { frame } = await generation.step(user.at(t));
    compared.add(frame ?? new Int32Array(1 + config.depQ).fill(-2), returned.at(t), `step ${t}`);
  }
  return { set: set.name, check: "greedy-no-image", outputs: [compared.report()] };
}
