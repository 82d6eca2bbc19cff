import type { Command } from "../command.ts";
import { JSON_OPTION, MODEL_OPTIONS } from "./options.ts";

/** What scores and measures models. */
export const MEASURE_COMMANDS: readonly Command[] = [
  {
    name: "eval reps",
    positionals: "DIR",
    summary: "Counts the repetitions of every clip of DIR/manifest.json and scores what was said, and when.",
    options: {
      text: { type: "string", value: "TEXT", help: 'what is typed at the start; "count my reps" if absent' },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../eval/reps.ts")).evalReps(invocation),
  },
  {
    name: "eval voice",
    positionals: "DIR",
    summary: "Speaks while every clip of DIR/manifest.json is heard, and scores the giving way.",
    options: {
      text: { type: "string", value: "TEXT", help: "what is typed at the start, to get a long answer" },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../eval/voice.ts")).evalVoice(invocation),
  },
  {
    name: "eval scenarios",
    positionals: "DIR",
    summary: "Runs every scene of DIR (*.json) and scores counts, timed speech and answers.",
    options: { ...MODEL_OPTIONS, ...JSON_OPTION },
    run: async (invocation) => (await import("../eval/scenarios.ts")).evalScenarios(invocation),
  },
  {
    name: "bench",
    positionals: "",
    summary: "Measures the model's step time on this machine, in real time.",
    options: {
      duration: { type: "string", value: "SECONDS", help: "how long to measure; 30 if absent" },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../bench.ts")).bench(invocation),
  },
  {
    name: "parity",
    positionals: "DIR",
    summary: "Compares the Moshi family's kernels with the original's outputs, for every set in DIR.",
    options: {
      weights: {
        type: "string",
        value: "f32|f16|q8|q4",
        help: "how the language model's matrices are held; f32 if absent, the others are reported, not judged",
      },
      backend: { type: "string", value: "gpu", help: "there is no other one yet" },
      ...JSON_OPTION,
    },
    details:
      "A set is a folder with config.json, model.safetensors and outputs of the original implementation, such as\n" +
      "teacher_forced.safetensors, or with mimi_config.json and io.safetensors. Exit status 1: past a tolerance.\n",
    run: async (invocation) => (await import("../parity.ts")).parity(invocation),
  },
];
