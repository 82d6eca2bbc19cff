import { join } from "node:path";
import { z } from "zod";
import type { Conditions } from "../language-model.ts";
import { StateMachine } from "../text-to-speech/state-machine.ts";
import { TextToSpeech } from "../text-to-speech/text-to-speech.ts";
import { readJson } from "./conditions-check.ts";
import { FixtureFile } from "./fixture-file.ts";
import { type CheckReport, TokenComparison } from "./report.ts";
import { type SetContext, withModel } from "./set-context.ts";

const count = z.int().min(0).max(1_000_000);
const entries = z
  .array(z.object({ tokens: z.array(count).max(1000), text: z.string().max(1000), padding: count }))
  .max(100_000);

const machineSchema = z
  .array(
    z.object({
      text_card_plus_one: z.int().min(2).max(1_000_000),
      second_stream_ahead: count,
      max_padding: count,
      initial_padding: count,
      entries,
      predicted: z.array(count).max(1_000_000),
      output: z.array(z.int()).max(1_000_000),
      end_step: count.nullable(),
    }),
  )
  .max(1000);

const runSchema = z.object({
  entries,
  initial_padding: count,
  max_padding: count,
  final_padding: count,
  padding_bonus: z.number(),
  end_step: count,
});

/** The state machine alone, on scripted samples. */
export async function checkStateMachine({ set }: SetContext): Promise<CheckReport> {
  const fed = new TokenComparison("output", true);
  const ends = new TokenComparison("end_step", true);
  for (const [n, run] of (await readJson(join(set.path, "state_machine.json"), machineSchema)).entries()) {
    const machine = new StateMachine({
      textCard: run.text_card_plus_one - 1,
      secondStreamAhead: run.second_stream_ahead,
      maxPadding: run.max_padding,
      initialPadding: run.initial_padding,
    });
    machine.push(run.entries);
    machine.close();
    for (const [t, sampled] of run.predicted.entries()) {
      fed.addOne(machine.next(t, sampled).token, run.output[t] ?? Number.NaN, `setting ${n}, step ${t}`);
    }
    ends.addOne(machine.endStep ?? -1, run.end_step ?? -1, `setting ${n}`);
  }
  return { set: set.name, check: "state-machine", outputs: [fed.report(), ends.report()] };
}

/** A whole utterance. */
export async function checkSpeechRun(context: SetContext, conditions: Conditions): Promise<CheckReport> {
  const { set, config, judged } = context;
  const run = await readJson(join(set.path, "tts_run.json"), runSchema);
  const options = { conditions, textPaddingBonus: run.padding_bonus };
  return FixtureFile.with(join(set.path, "tts_run.safetensors"), (file) =>
    withModel(context, options, async (model) => {
      const predicted = await file.tokens("text_predicted", [null]);
      const frames = await file.tokens("frames", [null, 1 + config.depQ]);
      const compared = {
        predicted: new TokenComparison("text_predicted", judged),
        frames: new TokenComparison("frames", judged),
        end: new TokenComparison("end_step", judged),
      };
      const speech = new TextToSpeech(model, config, {
        initialPadding: run.initial_padding,
        maxPadding: run.max_padding,
        finalPadding: run.final_padding,
      });
      speech.push(run.entries);
      speech.end();
      const differs = (): boolean => compared.predicted.hasDiffered || compared.frames.hasDiffered;
      let made = 0;
      let t = 0;
      for (; t < predicted.count && !differs(); t++) {
        const step = await speech.step();
        if (!step) break;
        compared.predicted.addOne(step.sampledText, predicted.all[t]!, `step ${t}`);
        if (step.frame) compared.frames.add(step.frame, frames.at(made++), `step ${t}`);
      }
      compared.end.addOne(speech.endStep ?? -1, run.end_step, "the script");
      // A run that ends too soon or too late has another length.
      if (!differs()) compared.end.addOne(speech.isDone ? t : -1, predicted.count, "the last step");
      return {
        set: set.name,
        check: "tts-run",
        outputs: Object.values(compared).map((output) => output.report()),
      };
    }),
  );
}
