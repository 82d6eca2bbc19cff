import { join } from "node:path";
import { PersonaPlex, type PersonaPlexStep, type Prompt, personaPlexWindow } from "../personaplex.ts";
import { FixtureFile, type Rows } from "./fixture-file.ts";
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
      const session = new PersonaPlex(model, config, options);
      const byCodes = await checkByCodes(context, file, session);
      await session.reset();
      return [byCodes, await checkReplay(context, file, session)];
    }),
  );
}

async function checkByCodes(
  { set, config, judged }: SetContext,
  file: FixtureFile,
  session: PersonaPlex,
): Promise<CheckReport> {
  const { depQ, card, textCardOut } = config;
  const returned = await file.tokens("returned", [null, 1 + config.nQ]);
  const present = await file.tokens("logits_present", [returned.count]);
  const modelRuns = present.all.filter((flag) => flag === 1).length;
  const textLogits = await file.numbers("text_logits", [modelRuns, textCardOut]);
  const audioLogits = await file.numbers("audio_logits", [modelRuns, depQ, card]);
  const voice = rows(await file.tokens("voice_codes", [null, CODEBOOKS]));
  const limit = judged ? LOGIT_TOLERANCE : null;
  const compared = {
    text: new NumberComparison("text_logits", limit),
    audio: new NumberComparison("audio_logits", limit),
    returned: new TokenComparison("returned", judged),
  };
  let call = 0;
  let run = 0;
  for await (const { frame, sampled } of steps(file, session, voice, true)) {
    if (compared.returned.hasDiffered) break;
    const place = `call ${call}`;
    compareFrame(compared.returned, frame, returned.at(call), place);
    if (present.all[call++] !== 1) continue;
    compared.text.add(sampled!.inspected!.textLogits, textLogits.at(run), place);
    // The original's depth cache hides its first step in the last one, which nothing that is said depends on.
    const judgedLogits = (depQ - 1) * card;
    const expected = audioLogits.at(run++).subarray(0, judgedLogits);
    compared.audio.add(sampled!.inspected!.depthLogits.subarray(0, judgedLogits), expected, place);
  }
  return {
    set: set.name,
    check: "prompted-run",
    outputs: Object.values(compared).map((output) => output.report()),
  };
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
