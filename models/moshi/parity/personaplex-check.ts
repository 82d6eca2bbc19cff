import { join } from "node:path";
import type { LanguageModel } from "../language-model.ts";
import {
  PersonaPlex,
  type PersonaPlexOptions,
  type PersonaPlexStep,
  type Prompt,
  personaPlexWindow,
} from "../personaplex.ts";
import { FixtureFile, type Rows } from "./fixture-file.ts";
import { LedModel, likeliest, likeliestOfRows, type StepTokens } from "./led-model.ts";
import { type CheckReport, NumberComparison, TokenComparison } from "./report.ts";
import { LOGIT_TOLERANCE, type SetContext, withModel } from "./set-context.ts";

const CODEBOOKS = 8;

/** A prompted session, with the voice as codes and as it is published. */
export async function checkPromptedRun(context: SetContext): Promise<CheckReport[]> {
  const { config, set } = context;
  const window = personaPlexWindow(config.context);
  return FixtureFile.with(join(set.path, "prompted_run.safetensors"), (file) =>
    withModel(context, { window }, async (model) => {
      const silence = [...(await file.tokens("silence", [CODEBOOKS])).all];
      const sine = [...(await file.tokens("sine", [CODEBOOKS])).all];
      const options = { silence, sine, depthSteps: config.depQ };
      const byCodes = await checkByCodes(context, file, model, options);
      await model.reset();
      return [byCodes, await checkReplay(context, file, new PersonaPlex(model, config, options))];
    }),
  );
}

async function checkByCodes(
  { set, config, judged }: SetContext,
  file: FixtureFile,
  model: LanguageModel,
  options: PersonaPlexOptions,
): Promise<CheckReport> {
  const { depQ, card, textCardOut } = config;
  const returned = await file.tokens("returned", [null, 1 + config.nQ]);
  const present = (await file.tokens("logits_present", [returned.count])).all;
  const modelRuns = present.filter((flag) => flag === 1).length;
  const textLogits = await file.numbers("text_logits", [modelRuns, textCardOut]);
  const audioLogits = await file.numbers("audio_logits", [modelRuns, depQ, card]);
  const voice = rows(await file.tokens("voice_codes", [null, CODEBOOKS]));
  const limit = judged ? LOGIT_TOLERANCE : null;
  const compared = {
    text: new NumberComparison("text_logits", limit),
    audio: new NumberComparison("audio_logits", limit),
    sampled: new TokenComparison("sampled", judged),
    returned: new TokenComparison("returned", judged),
  };
  const runOf = (call: number): number => present.subarray(0, call).filter((flag) => flag === 1).length;
  const said = (call: number): StepTokens | null => {
    if (present[call] !== 1) return null;
    const run = runOf(call);
    return { text: likeliest(textLogits.at(run)), audio: likeliestOfRows(audioLogits.at(run), card) };
  };
  // The first call runs no network.
  const led = new LedModel(model, (step) => said(step + 1));
  const session = new PersonaPlex(judged ? model : led, config, options);
  let call = 0;
  for await (const { frame, sampled } of steps(file, session, voice, true)) {
    if (judged && compared.returned.hasDiffered) break;
    const place = `call ${call}`;
    compareFrame(compared.returned, frame, returned.at(call), place);
    const original = said(call);
    const run = runOf(call++);
    if (!original) continue;
    const { textLogits: text, depthLogits } = sampled!.inspected!;
    compared.text.add(text, textLogits.at(run), place);
    // The original's depth cache hides its first step in the last one, which nothing that is said depends on.
    const last = depQ - 1;
    const expected = audioLogits.at(run).subarray(0, last * card);
    compared.audio.add(depthLogits.subarray(0, last * card), expected, place);
    const own = judged ? sampled! : led.own;
    compared.sampled.addOne(own.text, original.text, `${place}, text`);
    compared.sampled.add(
      Array.from(own.audio).slice(0, last),
      Array.from(original.audio).slice(0, last),
      place,
    );
  }
  // What comes out of a run that is led is what was put into it.
  const { text, audio, sampled, returned: frames } = compared;
  const told = judged ? [text, audio, frames] : [text, audio, sampled];
  return { set: set.name, check: "prompted-run", outputs: told.map((output) => output.report()) };
}

async function checkReplay(
  { set, config, judged }: SetContext,
  file: FixtureFile,
  session: PersonaPlex,
): Promise<CheckReport> {
  const returned = await file.tokens("returned_replay", [null, 1 + config.nQ]);
  const embeddings = await file.numbers("voice_embeddings", [null, 1, 1, config.temporal.dim]);
  const cache = (await file.tokens("voice_cache", [1 + config.nQ, null])).all;
  const compared = new TokenComparison("returned_replay", judged);
  let call = 0;
  for await (const { frame } of steps(file, session, { embeddings: rows(embeddings), cache }, false)) {
    // While the voice itself is replayed the original gives out what stood in its cache before.
    if (call >= embeddings.count) compareFrame(compared, frame, returned.at(call), `call ${call}`);
    call++;
    if (compared.hasDiffered) break;
  }
  return { set: set.name, check: "prompted-replay", outputs: [compared.report()] };
}

/** The fixture's session: prompt, then what the user said. */
async function* steps(
  file: FixtureFile,
  session: PersonaPlex,
  voice: Prompt["voice"],
  inspect: boolean,
): AsyncGenerator<PersonaPlexStep> {
  const text = [...(await file.tokens("text_prompt", [null])).all];
  yield* session.prompt({ voice, text }, { inspect });
  for (const user of rows(await file.tokens("user_codes", [null, CODEBOOKS])))
    yield session.step(user, { inspect });
}

function compareFrame(
  compared: TokenComparison,
  frame: Int32Array | null,
  expected: Int32Array,
  place: string,
): void {
  compared.add(frame ?? new Int32Array(expected.length).fill(-2), expected, place);
}

function rows<Values extends Float32Array | Int32Array>({ count, at }: Rows<Values>): Values[] {
  return Array.from({ length: count }, (_, t) => at(t));
}
