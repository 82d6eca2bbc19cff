import { describe, expect, test } from "vitest";
import { Script, type ScriptEntry } from "../../../models/moshi/text-to-speech/script.ts";
import { StateMachine } from "../../../models/moshi/text-to-speech/state-machine.ts";
import { type SpeechStep, TextToSpeech } from "../../../models/moshi/text-to-speech/text-to-speech.ts";
import { fixtureModel } from "./fixture-model.ts";
import { describeWithFixture, rowOf } from "./fixtures.ts";
import { ScriptedModel } from "./scripted-model.ts";

interface MachineRun {
  text_card_plus_one: number;
  second_stream_ahead: number;
  max_padding: number;
  initial_padding: number;
  entries: ScriptEntry[];
  predicted: number[];
  output: number[];
  consumed: number[];
  end_step: number;
  transcript: [string, number][];
}

describe("a script", () => {
  const encode = (word: string): number[] => [...word].map((letter) => letter.charCodeAt(0));
  const tokens = (word: string): number[] => encode(word);

  test("is words, each encoded alone, with room for their tokens", () => {
    const script = new Script({ encode, hasSpeakers: false });
    expect(script.entries("it’s  (so): a\ttest")).toEqual([
      { tokens: tokens("it's"), text: "it's", padding: 4 },
      { tokens: tokens("so"), text: "so", padding: 2 },
      { tokens: tokens("a"), text: "a", padding: 1 },
      { tokens: tokens("test"), text: "test", padding: 4 },
    ]);
  });

  test("has pauses, in frames of 80 ms", () => {
    const script = new Script({ encode, hasSpeakers: false, paddingBetween: 0 });
    expect(script.entries('a<break time="1.5s"/>b <break time="1s" /> <break time="0.04s">')).toEqual([
      { tokens: tokens("a"), text: "a", padding: 0 },
      { tokens: [], text: "", padding: 19 },
      { tokens: tokens("b"), text: "b", padding: 0 },
      { tokens: [], text: "", padding: 12 },
      { tokens: [], text: "", padding: 0 },
    ]);
  });

  test("says who speaks when the speaker changes, if the model knows speakers", () => {
    const script = new Script({ encode, hasSpeakers: true });
    const firsts = [
      script.entries("a a"),
      script.entries("a"),
      script.entries("a", "other"),
      script.entries("a"),
    ];
    expect(firsts.flat().map((entry) => entry.tokens[0])).toEqual([1, 97, 97, 2, 1]);
    expect(firsts[0]![0]!.padding).toBe(2);
  });
});

/** A script of two words and a pause whose course is worked out by hand. */
describe("the state machine", () => {
  const entries = [
    { tokens: [10, 11], text: "one", padding: 1 },
    { tokens: [], text: "", padding: 2 },
    { tokens: [12], text: "two", padding: 0 },
  ];
  const machine = (options: Partial<ConstructorParameters<typeof StateMachine>[0]> = {}): StateMachine =>
    new StateMachine({ textCard: 99, secondStreamAhead: 0, maxPadding: 4, initialPadding: 1, ...options });

  test("spells each word out, keeps pauses, ends", () => {
    const tested = machine();
    tested.push(entries);
    tested.close();
    // Always "a word begins": one frame of initial padding, the word, its two pieces, the pause's own and two forced
    // frames, the second word, its piece, the end.
    const out = Array.from({ length: 9 }, (_, t) => tested.next(t, 0).token);
    expect(out).toEqual([3, 0, 10, 11, 3, 3, 0, 12, 3]);
    expect(tested.endStep).toBe(8);
  });

  test("has the second stream say the next word while the first says this one", () => {
    const tested = machine({ secondStreamAhead: 1 });
    tested.push(entries);
    tested.close();
    const out = Array.from({ length: 5 }, (_, t) => tested.next(t, 0).token);
    // Radix 100: "a word begins" beside the word's first piece; then "two" ahead beside the second piece of "one".
    expect(out).toEqual([3, 100 + 10, 1300 + 11, 3, 3]);
  });

  test("waits for the words that a step may need", () => {
    const tested = machine({ secondStreamAhead: 1, initialPadding: 0 });
    expect(tested.isReady).toBe(false);
    tested.push(entries.slice(0, 1));
    expect(tested.isReady).toBe(false);
    tested.push(entries.slice(1));
    expect(tested.isReady).toBe(true);
    tested.next(0, 0);
    expect(tested.isReady).toBe(true);
    tested.close();
    expect(() => tested.push(entries)).toThrow("closed");
  });

  test("keeps no more than it may", () => {
    const tested = machine();
    const many = Array.from({ length: 100_001 }, () => entries[1]!);
    expect(() => tested.push(many)).toThrow("wait to be said");
  });
});

describeWithFixture("b/lm_tts", (fixture) => {
  test("the state machine, token for token", () => {
    const runs = fixture.json("state_machine.json") as MachineRun[];
    expect(runs.length).toBeGreaterThan(2);
    for (const run of runs) {
      const machine = new StateMachine({
        textCard: run.text_card_plus_one - 1,
        secondStreamAhead: run.second_stream_ahead,
        maxPadding: run.max_padding,
        initialPadding: run.initial_padding,
      });
      machine.push(run.entries);
      machine.close();
      const begun: [string, number][] = [];
      const output = run.predicted.map((sampled, t) => {
        // Where it says that the sample does not matter, it does not.
        const next = machine.next(t, machine.isDetermined ? 3 : sampled);
        if (next.begun && next.begun.tokens.length > 0) begun.push([next.begun.text, t]);
        expect(next.begun ? 1 : 0).toBe(run.consumed[t]);
        return next.token;
      });
      expect(output).toEqual(run.output);
      expect(machine.endStep).toBe(run.end_step);
      expect(begun).toEqual(run.transcript);
    }
  });

  const run = () =>
    fixture.json("tts_run.json") as {
      entries: ScriptEntry[];
      end_step: number;
      transcript: [string, number][];
      padding_bonus: number;
    };

  function speech(): TextToSpeech {
    const stored = fixture.tensors("conditions.safetensors");
    const { config, model } = fixtureModel(fixture, () => ({
      conditions: {
        sum: Float32Array.from(stored("sum").data),
        cross: Float32Array.from(stored("cross").data),
      },
      textPaddingBonus: run().padding_bonus,
    }));
    return new TextToSpeech(model, { ...config, tts: { audioDelaySeconds: 1.28, secondStreamAhead: 2 } });
  }

  test("a whole utterance, frame for frame, its words given one by one", async () => {
    const expected = fixture.tensors("tts_run.safetensors");
    const textToSpeech = speech();
    const waiting = [...run().entries];
    const steps: SpeechStep[] = [];
    while (!textToSpeech.isDone) {
      const step = await textToSpeech.step();
      if (step) steps.push(step);
      else if (waiting.length > 0) textToSpeech.push(waiting.splice(0, 1));
      else textToSpeech.end();
    }
    expect(textToSpeech.endStep).toBe(run().end_step);
    expect(steps.map(({ sampledText }) => sampledText)).toEqual([...expected("text_predicted").data]);
    const frames = steps.flatMap(({ frame }) => (frame ? [[...frame]] : []));
    expect(frames).toEqual(Array.from({ length: 104 }, (_, t) => [...rowOf(expected("frames"), t)]));
    const words = steps.flatMap(({ begun }) =>
      begun && begun.entry.tokens.length > 0 ? [[begun.entry.text, begun.fromFrame]] : [],
    );
    expect(words).toEqual(run().transcript);
    // Frames that sound: those without a zero token, of which the delay takes the first 16.
    const sounding = frames.slice(16).map((frame) => frame.slice(1));
    expect(steps.flatMap(({ codes }) => (codes ? [[...codes]] : []))).toEqual(sounding);
    expect(await textToSpeech.step()).toBeNull();
  });
});

describe("speech of a scripted network", () => {
  const CONFIG = {
    nQ: 3,
    depQ: 3,
    delays: [0, 0, 2, 2],
    textCard: 99,
    card: 50,
    tts: { audioDelaySeconds: 0.25, secondStreamAhead: 0 },
  };
  const utterance = (textToSpeech: TextToSpeech): void => {
    textToSpeech.push([{ tokens: [10, 11], text: "one", padding: 2 }]);
    textToSpeech.end();
  };

  test("runs no depth steps before the delay, two codebooks of three if so told, and stops early", async () => {
    const model = new ScriptedModel(3, (t) => ({ text: 3, audio: Int32Array.of(t, t, t) }));
    const textToSpeech = new TextToSpeech(model, CONFIG, { nCodebooks: 2, maxPadding: 3, finalPadding: 1 });
    utterance(textToSpeech);
    const codes: number[][] = [];
    while (!textToSpeech.isDone) {
      const step = await textToSpeech.step();
      if (step!.codes) codes.push([...step!.codes]);
    }
    // Two frames of padding, the word and its pieces, one more of padding: step 6 finds the script over.
    expect(textToSpeech.endStep).toBe(6);
    // The delay is 3 steps: no sound is made before; one final frame.
    expect(model.depthSteps).toEqual([0, 0, 0, 2, 2, 2, 2, 2, 2, 2]);
    expect(codes).toEqual([3, 4, 5, 6, 7].map((moment) => [moment, moment + 2]));
    // Only where the sample decides does the network stop between text and sound.
    expect(model.splits).toBeLessThan(5);
    await textToSpeech.reset();
    expect(textToSpeech.isDone).toBe(false);
    expect(await textToSpeech.step()).not.toBeNull();
  });

  test("wants a model that makes all its codebooks", () => {
    const model = new ScriptedModel(3, () => ({}));
    expect(() => new TextToSpeech(model, { ...CONFIG, depQ: 2 })).toThrow("3");
    expect(() => new TextToSpeech(model, CONFIG, { nCodebooks: 4 })).toThrow("4 codebooks");
  });
});
